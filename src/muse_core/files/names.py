"""Names of files that are derived from other names."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from muse_core.files.litter import entries

_LONGEST_BASE = 200
"""Most bytes of a name before suffixes and numbers are added; file systems allow 255."""

_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')
_DEVICES = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|$)", re.IGNORECASE)


def portable(name: str) -> str:
    """Turn a name into one that a file can have on every system, Windows being the strictest.

    There "a:b" is a second content of the file "a", and "aux.csv" a device. Empty where nothing is
    left.
    """
    return _DEVICES.sub(r"_\1", _FORBIDDEN.sub("-", name).rstrip(" ."))


def shortened(name: str, n_bytes: int = _LONGEST_BASE) -> str:
    """Cut a name to a number of bytes in UTF-8, at a character boundary."""
    kept = os.fsencode(name)[:n_bytes]
    # Drops the bytes of a character that was cut in two.
    return name if len(kept) < n_bytes else kept.decode("utf-8", "ignore")


def spelt_as(path: Path) -> Path:
    """The file at a path, or the one beside it whose name a person would call the same.

    Macs write accented letters in two parts, and other systems keep that on copying; some programs
    write endings in capitals. Where there is none, or more than one, the path itself is returned.

    Raises:
        UserError: The folder cannot be listed.
    """
    if path.exists() or not path.parent.is_dir():
        return path
    same = [p for p in entries(path.parent) if _spelling(p) == _spelling(path)]
    return same[0] if len(same) == 1 else path


def _spelling(path: Path) -> tuple[str, str]:
    return unicodedata.normalize("NFC", path.stem), path.suffix.lower()
