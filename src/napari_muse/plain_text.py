"""Names as they are: not taken for HTML or shortcuts, broken where long, in their own direction."""

from __future__ import annotations

import html
import re

ZERO_WIDTH_SPACE = "\u200b"
_LONG_WORD = re.compile(r"\S{25,}")
_BREAK = re.compile(r"([^\W_]{12}(?=[^\W_])|[-_./\\](?=\w))")
"""After these parts of a long word its line may break."""
_WORD = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]+"
"""Letters of scripts that are written from right to left."""
_NAME = re.compile(rf"{_WORD}(?:[ _-]+{_WORD})*(?:[ _-]+\d+)?")
_ISOLATE, _END = "\u2068", "\u2069"
_MARKS = dict.fromkeys(map(ord, (ZERO_WIDTH_SPACE, _ISOLATE, _END)))


def as_it_is(text: str) -> str:
    """Return a text escaped for a tool tip or message box, which interpret HTML."""
    text = isolated(text)
    # Qt takes "&lt;" for HTML too.
    if "<" not in text and "&lt;" not in text:
        return text
    return f"<qt>{html.escape(text)}</qt>".replace("\n", "<br>")


def for_button(text: str) -> str:
    """Return a text escaped for a button or check box, on one line, where & marks a shortcut."""
    return isolated(" ".join(text.split()).replace("&", "&&"))


def breakable(text: str) -> str:
    """Return a text with places of no width in its long words, at which lines may break."""
    return _LONG_WORD.sub(lambda word: _BREAK.sub(rf"\1{ZERO_WIDTH_SPACE}", word[0]), text)


def isolated(text: str) -> str:
    """Return a text in which names written from right to left do not move what is behind them.

    A number after such a name would otherwise be displayed on its other side. The isolates have no
    width.
    """
    return _NAME.sub(lambda name: f"{_ISOLATE}{name[0]}{_END}", text)


def without_marks(text: str) -> str:
    """Return a text without what :func:`breakable` and :func:`isolated` have put into it."""
    return text.translate(_MARKS)
