"""Rows of numbers in a file, read as they are needed."""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError, out_of_reach
from muse_core.files.deletable import open_deletable

_HAS_PREADV = hasattr(os, "preadv")
_GAP_BYTES = 1 << 14
"""Rows with less than this between them are read in one go."""
_MOST_BYTES = 1 << 22
"""Rows that are picked out are read in parts of at most this, unless one row is larger."""


class FileRows:
    """Rows (N, ...) that lie in a file one behind the other; indexed along the first axis.

    They are not memory-mapped: the system kills a program that touches a mapped file which has been
    cut short, or whose share has gone. The file stays open, so that one which takes its place is
    not mixed up with it; others may still delete it. Thread-safe.

    Args:
        path: The file.
        dtype: Of a number.
        shape: (N, ...).
        name: What messages call it.
        offset: Where the first row begins, bytes.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        dtype: npt.DTypeLike,
        shape: tuple[int, ...],
        name: str,
        offset: int = 0,
    ) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._name, self._offset = name, offset
        self._width = int(np.prod(shape[1:], dtype=np.int64)) * self.dtype.itemsize
        self._lock = threading.Lock()
        self._file = open_deletable(path)
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice | npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The rows of a slice with step 1, or of indices in any order; a new array.

        Raises:
            UserError: The file has become shorter, or is out of reach.
        """
        if isinstance(which, slice):
            start, stop, _ = which.indices(len(self))
            return self._run(start, max(start, stop))
        rows = np.asarray(which, np.int64)
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for part in self._runs(ascending):
            first, last = int(ascending[part.start]), int(ascending[part.stop - 1])
            if part.stop - part.start == 1 or np.array_equal(
                ascending[part], np.arange(first, last + 1)
            ):
                self._read(first, found[part])
            else:
                found[part] = self._run(first, last + 1)[ascending[part] - first]
        restored = np.empty_like(found)
        restored[order] = found
        return restored

    def _runs(self, rows: npt.NDArray[np.int64]) -> list[slice]:
        """Parts of ascending indices, each to be read in one go."""
        if not len(rows):
            return []
        block = rows // max(1, _MOST_BYTES // self._width)
        apart = (np.diff(rows) > max(1, _GAP_BYTES // self._width)) | (np.diff(block) > 0)
        borders = np.flatnonzero(apart) + 1
        starts, stops = [0, *borders.tolist()], [*borders.tolist(), len(rows)]
        return [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]

    def _run(self, start: int, stop: int) -> npt.NDArray[Any]:
        found = np.empty((stop - start, *self.shape[1:]), self.dtype)
        self._read(start, found)
        return found

    def _read(self, start: int, into: npt.NDArray[Any]) -> None:
        """Fill an array, contiguous in memory, with the rows from one on."""
        rest = into.reshape(-1).view(np.uint8).data
        at = self._offset + start * self._width
        try:
            # The system hands over two gigabytes at a time at most.
            while rest and (count := self._read_at(at, rest)):
                at, rest = at + count, rest[count:]
        except OSError as error:
            raise out_of_reach(self._name, error) from error
        if rest:
            raise UserError(f"{self._name} has been cut short while it was open.")

    def _read_at(self, at: int, into: memoryview) -> int:
        """Read what follows a place of the file; returns how many bytes that were."""
        if _HAS_PREADV:
            # Threads do not wait for each other.
            return os.preadv(self._file.fileno(), [into], at)
        with self._lock:
            self._file.seek(at)
            return self._file.readinto(into) or 0
