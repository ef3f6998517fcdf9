"""Recognise the kind of an image file by its first bytes rather than by its name."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path

_HEAD_BYTES = 64


class Content(Enum):
    """Kinds that are told by their first bytes."""

    TIFF = auto()
    IMAGE = auto()
    JPEGXL = auto()
    WINDOW = auto()


_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IMAGE = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"\xff\x4f\xff\x51",
)
_JPEGXL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_AVIF = (b"avif", b"avis")
WINDOW_MAGIC = b'{"muse_layer": 1, '
"""Begins a file that stands for an image of a napari window."""


_DATABASE = b"SQLite format 3\0"


def is_database(path: Path) -> bool:
    """Whether a file is a database of SQLite, as annotation stores are.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(_DATABASE)) == _DATABASE


def content_of(path: Path) -> Content | None:
    """The kind of image in a file, or None where it is none of those told by their first bytes.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_TIFF):
        return Content.TIFF
    if head.startswith(_JPEGXL):
        return Content.JPEGXL
    if head.startswith(WINDOW_MAGIC):
        return Content.WINDOW
    riff = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    avif = head[4:8] == b"ftyp" and head[8:12] in _AVIF
    return Content.IMAGE if riff or avif or head.startswith(_IMAGE) else None
