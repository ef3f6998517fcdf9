"""Lazy arrays that a job can compute by itself: sent as what to do, not as pixels."""

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
"""More than this is no recipe but the pixels themselves."""


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
        # Open files, locks and whatever else somebody's array hangs on.
        return b""
    return target.getvalue()


def unpacked_arrays(packed: bytes) -> list[Any] | None:
    """The arrays again, or None where this process cannot have them.

    Args:
        packed: From the window that started this process and nobody else: it can run anything.
    """
    if not packed:
        return None
    try:
        arrays = pickle.loads(packed)
    except Exception:
        # Made with a package or a module that is not to be found here.
        return None
    return arrays if isinstance(arrays, list) else None
