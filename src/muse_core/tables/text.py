"""Open text files: compressed or not, in the encodings that spreadsheets write."""

from __future__ import annotations

import codecs
import gzip
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from muse_core.errors import UserError
from muse_core.ordinary import is_gzip, temporary_folder

FALLBACK = "cp1252"
"""Encoding of a file that is not Unicode."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before those of UTF-16, one of which it begins with.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES = 4096
_BLOCK_BYTES = 1 << 20
_MAX_UNPACKED_BYTES = 1 << 32


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file; gzip is unpacked, to disk and not beyond what a table can have.

    Its content says whether it is packed: browsers unpack files and keep their names.

    Raises:
        UserError: It unpacks to more, or to no place; the sentence lacks the file's name.
    """
    with path.open("rb") as raw:
        if not is_gzip(path):
            yield raw
            return
        folder = temporary_folder("cannot be unpacked")
        with tempfile.TemporaryFile(dir=folder) as plain, gzip.open(raw, "rb") as packed:
            while block := packed.read(_BLOCK_BYTES):
                plain.write(block)
                if plain.tell() > _MAX_UNPACKED_BYTES:
                    raise UserError("unpacks to more than 4 GiB.")
            yield plain


def encodings_of(raw: IO[bytes]) -> tuple[str, ...]:
    """Encodings to try in order; the last is :data:`FALLBACK` unless the file says its own.

    Raises:
        ValueError: It is no text.
    """
    raw.seek(0)
    start = raw.read(_SAMPLE_BYTES)
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            return (encoding,)
    if b"\0" not in start:
        return ("utf-8", FALLBACK)
    # Latin letters in UTF-16 have every other byte 0.
    even, odd = start[::2].count(0), start[1::2].count(0)
    if min(even, odd) == 0 and max(even, odd) > len(start) // 4:
        return ("utf-16-be" if even else "utf-16-le",)
    raise ValueError("it holds null characters")


@contextmanager
def decoded(raw: IO[bytes], encoding: str) -> Iterator[IO[str]]:
    """The file as text from its start; line ends stay as they are."""
    raw.seek(0)
    text = io.TextIOWrapper(raw, encoding=encoding, newline="")
    try:
        yield text
    finally:
        text.detach()
