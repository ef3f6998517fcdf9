"""TileLog: an append-only file of what each tile reported, from which a run is resumed.

Each record has a checksum. If the program is killed while it writes, the incomplete record and all
that follows are cut off when the file is opened again. The reports determine the result, because
seams are settled without regard to the order of tiles.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from muse_core.detect.packing import HEAD_BYTES, pack, packed_size, unpack
from muse_core.models.tile_detections import TileDetections

Report = tuple[int, TileDetections]
"""Number of a tile in its plan, and what it found."""

_MAGIC = b"MUSETILE1\n"
_RECORD = struct.Struct("<IIdI")
"""Bytes of the reports, CRC-32, seconds that the run had taken, and number of reports."""
_TILE = struct.Struct("<I")
"""Number of the tile, before what it found."""
_SYNC_S = 10.0
_MOST_BYTES = 1 << 30


class TileLog:
    """Reports of tiles, in the order in which they came in; a context manager.

    Attributes:
        seconds: What the run had taken when the last record was written.
    """

    def __init__(self, path: Path) -> None:
        """Open or create a file; an incomplete record at its end is cut off.

        Raises:
            OSError: It cannot be read or written.
        """
        self.seconds = 0.0
        self._path = path
        self._places: dict[int, tuple[int, int]] = {}
        self._synced_at = time.monotonic()
        try:
            self._file = io.FileIO(path, "r+" if path.exists() else "x+")
            self._end = self._scan()
            self._file.truncate(self._end)
        except OSError as error:
            raise _named(error, path) from error

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, tile: object) -> bool:
        return tile in self._places

    def append(self, reports: Sequence[Report], seconds: float) -> None:
        """Add reports, all or none of them.

        Args:
            reports: Of tiles that are not in yet.
            seconds: What the run has taken so far.

        Raises:
            OSError: They could not be written, as on a full disk; the file is as it was.
        """
        if not reports:
            return
        packed = [_pack(tile, found) for tile, found in reports]
        body = b"".join(packed)
        head = _RECORD.pack(
            len(body), _checksum(body, seconds, len(reports)), seconds, len(reports)
        )
        try:
            self._write(head + body)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            raise _named(error, self._path) from error
        at = self._end + _RECORD.size
        for (tile, _), part in zip(reports, packed, strict=True):
            self._places[tile] = (at, len(part))
            at += len(part)
        self._end, self.seconds = at, seconds

    def read(self, tile: int) -> TileDetections:
        """Return the report of a tile."""
        at, length = self._places[tile]
        self._file.seek(at)
        return unpack(_exactly(self._file, length)[_TILE.size :])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        self._file.seek(self._end)
        rest = memoryview(data)
        while rest:
            # The system may take a part, and have no room for the rest.
            rest = rest[self._file.write(rest) :]
        if time.monotonic() - self._synced_at > _SYNC_S:
            os.fsync(self._file.fileno())
            self._synced_at = time.monotonic()

    def _scan(self) -> int:
        """Note where each report is; returns the end of the last whole record."""
        if self._file.read(len(_MAGIC)) != _MAGIC:
            self._file.truncate(0)
            self._file.seek(0)
            self._file.write(_MAGIC)
            return len(_MAGIC)
        end = len(_MAGIC)
        while True:
            head = self._file.read(_RECORD.size)
            if len(head) < _RECORD.size:
                return end
            length, checksum, seconds, count = _RECORD.unpack(head)
            body = self._file.read(length) if length <= _MOST_BYTES else b""
            # After a power failure the file may end in zeros, which are not an empty record.
            if len(body) < max(1, length) or _checksum(body, seconds, count) != checksum:
                return end
            at = 0
            for _ in range(count):
                tile, size = _measure(body, at)
                self._places[tile] = (end + _RECORD.size + at, size)
                at += size
            self.seconds = seconds
            end += _RECORD.size + length


def _checksum(body: bytes, seconds: float, count: int) -> int:
    return zlib.crc32(body, zlib.crc32(struct.pack("<dI", seconds, count)))


def _pack(tile: int, found: TileDetections) -> bytes:
    return _TILE.pack(tile) + pack(found)


def _measure(body: bytes, at: int) -> tuple[int, int]:
    """Number of the tile whose report begins there, and its length."""
    (tile,) = _TILE.unpack_from(body, at)
    start = at + _TILE.size
    return tile, _TILE.size + packed_size(body[start : start + HEAD_BYTES])


def _exactly(file: io.FileIO, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = file.read(length - len(data))
        if not more:
            raise OSError("the file of a run became shorter while it was read")
        data += more
    return data


def _named(error: OSError, path: Path) -> OSError:
    """Return the error with the file's path, which writing to an open file leaves out."""
    if error.filename is None and error.errno is not None:
        return OSError(error.errno, os.strerror(error.errno), str(path))
    return error
