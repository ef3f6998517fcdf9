"""Rows of numbers in a file, read as they are needed."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError, out_of_reach

_GAP_BYTES = 1 << 14
"""Rows with less than this between them are read in one go."""
_MOST_BYTES = 1 << 22
"""Rows that are picked out are read in parts of at most this, unless one row is larger."""


class FileRows:
    """Rows (N, ...) that lie in a file one behind the other; indexed along the first axis.

    They are not memory-mapped: the system kills a program that touches a mapped file which has been
    cut short, or whose share has gone. The file stays open, so that one which takes its place is
    not mixed up with it. Thread-safe.

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
        self._file = path.open("rb", buffering=0)
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
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        order = np.argsort(rows, kind="stable")
        for part in self._runs(rows[order]):
            wanted = rows[order[part]]
            first = int(wanted[0])
            found[order[part]] = self._run(first, int(wanted[-1]) + 1)[wanted - first]
        return found

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
        rest = found.reshape(-1).view(np.uint8).data
        try:
            with self._lock:
                self._file.seek(self._offset + start * self._width)
                # The system hands over two gigabytes at a time at most.
                while rest and (count := self._file.readinto(rest)):
                    rest = rest[count:]
        except OSError as error:
            raise out_of_reach(self._name, error) from error
        if rest:
            raise UserError(f"{self._name} has been cut short while it was open.")
        return found
