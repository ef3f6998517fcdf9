"""MUSE's keys on keyboards of any script: a key means the Latin letter or digit printed on it."""

from __future__ import annotations

import string
import sys
import unicodedata

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication, QKeyEvent

_NONE, _SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
_FIRST_GREEK = 0x0370
"""Before it are Latin letters and signs alone."""
_LINUX = {
    first + n: key
    for first, row in ((10, "1234567890"), (24, "QWERTYUIOP"), (38, "ASDFGHJKL"), (52, "ZXCVBNM"))
    for n, key in enumerate(row)
}
"""By the scan code, which X11 and Wayland count alike."""
_MACOS = dict(enumerate("ASDFHGZXCV?BQWERYT123465?97?80?OU?IP?LJ?K????NM"))
"""By the virtual key, which is a place on the keyboard there; ``?`` is no letter and no digit."""
_WINDOWS = {ord(key): key for key in string.ascii_uppercase + string.digits}
"""By the virtual key, which is the letter there."""
_SHIFTED_SIGNS = {"L": "/«»?:॥।༆", "Z": "~(₭༴\u200d"}
"""Signs that Shift makes of letters where MUSE needs Shift: on Arabic, Persian, Urdu, Sindhi, Thai,
Lao, Nepali, Bengali and Tibetan keyboards. No other keyboard has a sign there but Dvorak's at Z."""


def latin_key(event: QKeyEvent, platform: str | None = None) -> str | None:
    """Return the Latin letter or digit at the place of a key on the keyboard.

    Where digits need Shift, as in France, they are digits with it and without.

    Args:
        event: A key that was pressed or released.
        platform: Qt's name of it, which says what the native codes mean; the one there is if None.

    Returns:
        A capital letter, or a digit, which is meant without Shift; None where the key means that
        by itself or there is neither at its place.
    """
    key, modifiers = event.key(), event.modifiers()
    if ord("0") <= key <= ord("9"):
        return chr(key) if modifiers == _SHIFT else None
    latin = _at_its_place(event, platform or QGuiApplication.platformName())
    digit = latin.isdigit() and modifiers == _NONE
    letter = latin and (_is_of_another_script(key) or _is_shifted_sign(key, modifiers, latin))
    return latin if digit or letter else None


def _at_its_place(event: QKeyEvent, platform: str) -> str:
    if platform == "windows":
        return _WINDOWS.get(event.nativeVirtualKey(), "")
    if platform == "cocoa":
        return _MACOS.get(event.nativeVirtualKey(), "").strip("?")
    return _LINUX.get(event.nativeScanCode(), "")


def _is_shifted_sign(key: int, modifiers: Qt.KeyboardModifier, latin: str) -> bool:
    return bool(modifiers & _SHIFT) and key in map(ord, _SHIFTED_SIGNS.get(latin, ""))


def _is_of_another_script(key: int) -> bool:
    """Whether a key of Qt is a letter, or a part of one, and no Latin letter."""
    if not _FIRST_GREEK <= key <= sys.maxunicode:
        return False
    letter = chr(key)
    return unicodedata.category(letter)[0] in "LM" and "LATIN" not in unicodedata.name(letter, "")
