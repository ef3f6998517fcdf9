"""Uncompressed pixels of a file, read part by part."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from muse_core.errors import UserError, out_of_reach
from muse_core.slides.reading_errors import truncated


class RawPixels:
    """Samples (y, x, n) that lie uncompressed in a TIFF, sliced like an array.

    They are not memory-mapped: the system kills a program that touches a mapped file which has been
    cut short, or whose share has gone.

    Args:
        tif: The open file.
        lock: Held while the file is read.
        name: What messages call it.
        offsets: Where each plane begins, bytes; their samples are put together.
        shape: Of a plane, (y, x, n).
        stored: Type of a sample, with its byte order.

    Raises:
        UserError: The file is shorter than it says.
    """

    def __init__(
        self,
        tif: tifffile.TiffFile,
        lock: threading.Lock,
        name: str,
        offsets: Sequence[int],
        shape: tuple[int, int, int],
        stored: np.dtype[Any],
    ) -> None:
        self._file, self._lock, self._name = tif.filehandle, lock, name
        self._offsets, self._plane = tuple(offsets), shape
        self.shape = (*shape[:2], shape[2] * len(self._offsets))
        self.dtype = stored
        size = int(np.prod(shape, dtype=np.int64)) * stored.itemsize
        if max(self._offsets) + size > self._file.size:
            raise truncated(name)

    def __getitem__(self, key: tuple[slice, slice]) -> npt.NDArray[Any]:
        """The samples (rows, columns, n) of two slices with step 1; a new array."""
        (y0, y1, _), (x0, x1, _) = (k.indices(n) for k, n in zip(key, self.shape, strict=False))
        parts = [np.empty((y1 - y0, x1 - x0, self._plane[2]), self.dtype) for _ in self._offsets]
        with self._lock:
            if self._file.closed:
                raise UserError(f"{self._name} has been closed.")
            for offset, part in zip(self._offsets, parts, strict=True):
                self._read(offset, y0, x0, part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def _read(self, offset: int, y0: int, x0: int, out: npt.NDArray[Any]) -> None:
        """Fill an array with the samples of a plane from row ``y0`` and column ``x0`` on."""
        pixel = self._plane[2] * self.dtype.itemsize
        whole_rows = out.shape[1] == self._plane[1]
        for row, line in enumerate([out] if whole_rows else out):
            start = offset + ((y0 + row) * self._plane[1] + x0) * pixel
            try:
                self._file.seek(start)
                data = self._file.read(line.nbytes)
            except OSError as error:
                raise out_of_reach(self._name, error) from error
            if len(data) != line.nbytes:
                raise truncated(self._name)
            line[...] = np.frombuffer(data, self.dtype).reshape(line.shape)
