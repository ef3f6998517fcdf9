"""Tell which DICOM files are one slide: its levels, label and overview are files of one series."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from muse_core.files import entries

SUFFIX = ".dcm"
_PREAMBLE, _MAGIC = 128, b"DICM"
_SERIES = (0x0020, 0x000E)
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
"""Types of values whose length has four bytes, after two that are reserved."""
_OPEN_END = 0xFFFFFFFF
_LONGEST_UID = 64
_MAX_DEPTH = 20


def series_of(path: Path) -> str | None:
    """The SeriesInstanceUID of a DICOM file, or None where it cannot be told.

    Reads the elements before it, in the explicit little-endian encoding that slides have.
    """
    try:
        with path.open("rb") as file:
            if file.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] != _MAGIC:
                return None
            while True:
                tag, length = _element(file)
                if tag == _SERIES and length <= _LONGEST_UID:
                    return file.read(length).decode("ascii").strip("\0 ") or None
                if tag >= _SERIES:
                    return None
                _skip(file, length, 0)
    except (OSError, ValueError, struct.error):
        # struct.error: it ends too early; ValueError: a value that is no UID.
        return None


def main_file(path: Path) -> Path:
    """The largest file of the slide that a DICOM file belongs to, which has its finest level.

    OpenSlide opens a slide by any of its files; by this one it is always the same slide. The file
    itself where the series cannot be told.
    """
    series = series_of(path)
    if series is None:
        return path
    try:
        beside = [p for p in sorted(path.parent.iterdir()) if p.suffix.lower() == SUFFIX]
        return max((p for p in beside if series_of(p) == series), key=lambda p: p.stat().st_size)
    except (OSError, ValueError):
        # It has just been removed.
        return path


def only_slide(folder: Path) -> Path | None:
    """The file by which the slide is opened that all DICOM files of a folder are.

    Returns:
        None if there are none, or those of several series.

    Raises:
        UserError: The folder cannot be listed.
    """
    files = [path for path in entries(folder) if path.suffix.lower() == SUFFIX]
    return main_file(files[0]) if len({series_of(path) for path in files}) == 1 else None


def _element(file: BinaryIO) -> tuple[tuple[int, int], int]:
    """Tag and length of the element that comes next."""
    group, number, kind = struct.unpack("<HH2s", file.read(6))
    if group == _ITEM[0]:
        return (group, number), struct.unpack("<I", kind + file.read(2))[0]
    if not (kind.isalpha() and kind.isupper()):
        raise ValueError("an element without a type")
    length = (
        struct.unpack("<2xI", file.read(6)) if kind in _LONG else struct.unpack("<H", file.read(2))
    )
    return (group, number), length[0]


def _skip(file: BinaryIO, length: int, depth: int) -> None:
    """Skip a value, or the items of a sequence of unknown length, to the mark at its end."""
    if length != _OPEN_END:
        file.seek(length, 1)
        return
    if depth > _MAX_DEPTH:
        raise ValueError("sequences in sequences without end")
    while True:
        tag, inner = _element(file)
        if tag in (_END_OF_ITEM, _END_OF_SEQUENCE):
            return
        _skip(file, inner, depth + 1)
