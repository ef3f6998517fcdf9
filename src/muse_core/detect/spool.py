"""Spool: an append-only list of settled nuclei, in memory or in a file, that results come from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from muse_core.detect.packing import HEAD_BYTES, pack, packed_size, unpack
from muse_core.models.tile_detections import TileDetections


class Spool(Protocol):
    """Takes nuclei and gives them back in order, as often as wanted."""

    def add(self, found: TileDetections) -> None:
        """Take nuclei, level-0 pixels."""
        ...

    def parts(self, rows: int) -> Iterator[TileDetections]:
        """Return an iterator over all content in order, in parts of about the given size."""
        ...


class MemorySpool:
    """In memory."""

    def __init__(self) -> None:
        self._blocks: list[TileDetections] = []

    def add(self, found: TileDetections) -> None:
        """See :class:`Spool`."""
        self._blocks.append(found)

    def parts(self, rows: int) -> Iterator[TileDetections]:
        """See :class:`Spool`."""
        return _joined(self._blocks, rows)


class FileSpool:
    """In a file. What it held before is dropped."""

    def __init__(self, path: Path) -> None:
        """Begin a file; raises OSError."""
        self._path = path
        path.write_bytes(b"")

    def add(self, found: TileDetections) -> None:
        """See :class:`Spool`; raises OSError where there is no room."""
        rest = memoryview(pack(found))
        try:
            with self._path.open("ab", buffering=0) as file:
                while rest:
                    # The system may take a part, and have no room for the rest.
                    rest = rest[file.write(rest) :]
        except OSError as error:
            number = error.errno or 0
            raise OSError(number, os.strerror(number), str(self._path)) from error

    def parts(self, rows: int) -> Iterator[TileDetections]:
        """See :class:`Spool`."""
        return _joined(self._read_blocks(), rows)

    def _read_blocks(self) -> Iterator[TileDetections]:
        with self._path.open("rb") as file:
            while head := file.read(HEAD_BYTES):
                yield unpack(head + file.read(packed_size(head) - HEAD_BYTES))


def _joined(blocks: Iterable[TileDetections], rows: int) -> Iterator[TileDetections]:
    waiting: list[TileDetections] = []
    count = 0
    for block in blocks:
        waiting.append(block)
        count += len(block)
        if count >= rows:
            yield TileDetections.join(waiting)
            waiting, count = [], 0
    if waiting:
        yield TileDetections.join(waiting)
