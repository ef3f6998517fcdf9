"""Notice chunks or tiles of a pyramid that were lost, as by a copy or a program that broke off.

What a file does not store has one colour, and writers leave out what is of that colour. A piece of
which another level shows something else was written once, or was to be, and is lost. Without
another level that cannot be told, and only how much is missing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from muse_core.array_types import RgbArray
from muse_core.errors import UserError

Box = tuple[int, int, int, int]
"""Pixels x0, y0, x1, y1 of a level."""
_MOST_COMPARED = 16
_COMPARED_PX = 32
_OTHER_COLOUR = 24
"""Difference in grey levels beyond what resizing does inside an even area."""
_DARK, _LIGHT = 32, 224
_LEAST_SAID = 0.005


class LevelInPieces(Protocol):
    """What is asked of a level."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def empty_colour(self) -> npt.NDArray[np.uint8]:
        """(3,) colour of what is not stored."""

    def read(self, x0: int, y0: int, x1: int, y1: int) -> RgbArray:
        """Pixels of a rectangle."""


AnyLevel = TypeVar("AnyLevel", bound=LevelInPieces)


@dataclass(frozen=True)
class Gaps:
    """Pieces of a level that are not stored.

    Attributes:
        boxes: Of those, or of some of them.
        share: Of all pieces.
    """

    boxes: Sequence[Box]
    share: float


def lost_pieces(levels: Sequence[AnyLevel], gaps_of: Callable[[AnyLevel], Gaps]) -> tuple[str, ...]:
    """A sentence for the user if pieces of a level are lost, or may be, else none.

    Reads pixels only where a piece is missing.

    Args:
        levels: Of one image, finest first.
        gaps_of: What is missing of a level.
    """
    for number, level in enumerate(levels):
        gaps = gaps_of(level)
        if gaps.boxes and len(levels) == 1:
            return (_perhaps_lost(gaps.share, level),)
        other = levels[0 if level is levels[-1] else -1]
        compared = gaps.boxes[:: max(1, len(gaps.boxes) // _MOST_COMPARED)]
        n_lost = sum(_was_written(box, level, other) for box in compared)
        if n_lost:
            share = gaps.share * n_lost / len(compared)
            where = "its finest level" if number == 0 else f"its level {number}"
            return (
                f"{_about(share)} of {where} is missing, as after a copy or a program that broke"
                " off, though another level shows tissue or glass there; no nuclei are found in"
                " what is missing.",
            )
    return ()


def _about(share: float) -> str:
    return f"About {share:.0%}" if share >= _LEAST_SAID else "Less than 1%"


def _perhaps_lost(share: float, level: LevelInPieces) -> str:
    colour = level.empty_colour
    shown = "black" if max(colour) < _DARK else "white" if min(colour) > _LIGHT else "one colour"
    return (
        f"{_about(share)} of the image is not stored and is read as {shown}, where no nuclei are"
        " found; unless it was left out as empty, a copy or a program broke off."
    )


def _was_written(box: Box, level: LevelInPieces, reference: LevelInPieces) -> bool:
    """Whether another level has another colour in the middle of a piece than what is empty."""
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
