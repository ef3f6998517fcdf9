"""Send lazy arrays to a job as dask graphs, which it computes itself, instead of as pixels."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any

import cloudpickle
import dask
import zarr

from muse_core.slides.arrays import ArraysLevel
from muse_core.slides.level import Level

MAX_PACKED_BYTES = 16 << 20
"""Limit of a pickled graph; a larger one contains the pixels."""


class _TooLargeError(Exception):
    """There is more to send than is worth it."""


class _Bounded(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() + memoryview(data).nbytes > MAX_PACKED_BYTES:
            raise _TooLargeError
        return super().write(data)


def packed_arrays(levels: Sequence[Level]) -> bytes:
    """Pickle the arrays of levels where they are lazy, small and travel; else nothing."""
    arrays = [level.array for level in levels if isinstance(level, ArraysLevel)]
    lazy = all(isinstance(a, zarr.Array) or dask.is_dask_collection(a) for a in arrays)
    # On a cluster the graph may name results that only the window's connection can reach.
    if not arrays or not lazy or dask.config.get("scheduler", None):
        return b""
    target = _Bounded()
    try:
        cloudpickle.dump(arrays, target)
    except Exception:
        # The array refers to open files, locks or other objects that cannot be pickled.
        return b""
    return target.getvalue()


def unpacked_arrays(packed: bytes) -> list[Any] | None:
    """Unpickle the arrays, or None where this process cannot load them.

    Args:
        packed: Only from the window that started this process: a pickle can run any code.
    """
    if not packed:
        return None
    try:
        arrays = pickle.loads(packed)
    except Exception:
        # Made with a package or a module that is not to be found here.
        return None
    return arrays if isinstance(arrays, list) else None
