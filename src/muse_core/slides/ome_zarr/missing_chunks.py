"""Look for the files of a Zarr array's chunks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from muse_core.slides.lost_pieces import Box, Gaps

_PLACES_A_SIDE = 12
_ASKED_AT_ONCE = 16
"""Files: a share on the network answers each question after a while, and many at a time."""


class ChunkedLevel(Protocol):
    """What is asked of a level in chunks."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def height(self) -> int:
        """Rows."""

    def chunk_at(self, x: int, y: int) -> tuple[str, Box]:
        """The file with a pixel below the store's folder, and the pixels in it."""


def missing_chunks(is_there: Callable[[str], bool], level: ChunkedLevel) -> Gaps:
    """Look for some 144 chunks of a level, evenly spread.

    Args:
        is_there: Whether the store has a file; called from several threads.
        level: Of the store.
    """
    boxes = dict(level.chunk_at(x, y) for x, y in _places(level))
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        there = list(pool.map(is_there, boxes))
    missing = [box for box, found in zip(boxes.values(), there, strict=True) if not found]
    return Gaps(missing, len(missing) / len(boxes))


def _places(level: ChunkedLevel) -> list[tuple[int, int]]:
    steps = (np.arange(_PLACES_A_SIDE) + 0.5) / _PLACES_A_SIDE
    return [(int(x * level.width), int(y * level.height)) for y in steps for x in steps]
