"""Notice chunks of a Zarr pyramid that were lost, as by a copy that broke off.

By Zarr's rules a chunk that is not there has the fill value, mostly black, and writers leave out
chunks of that value. One of which another level shows something else was written, and is lost.
Without another level that cannot be told, and only how much is missing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt

from muse_core.array_types import RgbArray
from muse_core.errors import UserError

Box = tuple[int, int, int, int]
_PLACES_A_SIDE = 12
_MOST_COMPARED = 16
_ASKED_AT_ONCE = 16
"""Files: a share on the network answers each question after a while, and many at a time."""
_COMPARED_PX = 32
_OTHER_COLOUR = 24
"""Difference in grey levels beyond what resizing does inside an even area."""
_DARK, _LIGHT = 32, 224


class ChunkedLevel(Protocol):
    """What is asked of a level in chunks."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def empty_colour(self) -> npt.NDArray[np.uint8]:
        """(3,) colour of chunks that are not there."""

    def chunk_at(self, x: int, y: int) -> tuple[str, Box]:
        """The file with a pixel below the store's folder, and the pixels x0, y0, x1, y1 in it."""

    def read(self, x0: int, y0: int, x1: int, y1: int) -> RgbArray:
        """Pixels of a rectangle."""


def lost_chunks(is_there: Callable[[str], bool], levels: Sequence[ChunkedLevel]) -> tuple[str, ...]:
    """A sentence for the user if chunks of a level are lost, or may be, else none.

    Looks for some 144 files of each level, evenly spread, and reads pixels only where one is
    missing.

    Args:
        is_there: Whether the store has a file; called from several threads.
        levels: Of one image, finest first.
    """
    for number, level in enumerate(levels):
        boxes = dict(level.chunk_at(x, y) for x, y in _places(level))
        missing = _missing(is_there, boxes)
        if missing and len(levels) == 1:
            return (_perhaps_lost(len(missing) / len(boxes), level),)
        other = levels[0 if level is levels[-1] else -1]
        compared = missing[:: max(1, len(missing) // _MOST_COMPARED)]
        n_lost = sum(_was_written(box, level, other) for box in compared)
        if n_lost:
            share = len(missing) / len(boxes) * n_lost / len(compared)
            where = "its finest level" if number == 0 else f"its level {number}"
            return (
                f"About {share:.0%} of {where} is missing on the disk, as after a copy that broke"
                " off, though another level shows tissue or glass there; no nuclei are found in"
                " what is missing.",
            )
    return ()


def _perhaps_lost(share: float, level: ChunkedLevel) -> str:
    colour = level.empty_colour
    shown = "black" if max(colour) < _DARK else "white" if min(colour) > _LIGHT else "one colour"
    return (
        f"About {share:.0%} of the image is not stored and is read as {shown}, where no nuclei are"
        " found; unless it was left out as empty, a copy broke off."
    )


def _missing(is_there: Callable[[str], bool], boxes: Mapping[str, Box]) -> list[Box]:
    """The boxes of those files that are not there."""
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        there = list(pool.map(is_there, boxes))
    return [box for box, found in zip(boxes.values(), there, strict=True) if not found]


def _places(level: ChunkedLevel) -> list[tuple[int, int]]:
    steps = (np.arange(_PLACES_A_SIDE) + 0.5) / _PLACES_A_SIDE
    return [(int(x * level.width), int(y * level.height)) for y in steps for x in steps]


def _was_written(box: Box, level: ChunkedLevel, reference: ChunkedLevel) -> bool:
    """Whether another level has another colour in the middle of a chunk than what is empty."""
    ratio = reference.width / level.width
    x0, y0, x1, y1 = (side * ratio for side in box)
    half = min(_COMPARED_PX / 2, (x1 - x0) / 4, (y1 - y0) / 4)
    if half < 1:
        return False
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    try:
        seen = reference.read(int(x - half), int(y - half), int(x + half), int(y + half))
    except UserError:
        return False
    other = np.abs(seen.astype(int) - level.empty_colour).max(axis=2) > _OTHER_COLOUR
    return bool(other.mean() > 0.5)
