"""Convert positions in a file to positions on a slide whose scanned area is a part of it.

In slides that are mostly empty (MRXS, some SCN) the scanned area is far from the slide's corner.
Coordinates of QuPath are relative to the corner of that area, those of OpenSlide and most libraries
to the corner of the slide, and files do not say which.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from muse_core.nuclei.nucleus_file import WHOLE_SLIDE, NucleusFile, Origin

Size = tuple[float, float]


class Rectangle(Protocol):
    """A rectangle in level-0 pixels, such as slides.Region, which must not be imported here."""

    @property
    def x(self) -> float:
        """Left edge."""

    @property
    def y(self) -> float:
        """Top edge."""

    @property
    def w(self) -> float:
        """Width."""

    @property
    def h(self) -> float:
        """Height."""


def placed_on_slide(content: NucleusFile, scanned: Rectangle) -> NucleusFile:
    """Return a file's content with positions relative to the corner of the slide.

    If the file does not state its origin, the one is assumed with which more positions lie in the
    scanned area: the slide's corner or the area's.

    Args:
        content: As read.
        scanned: The slide's scanned area.

    Returns:
        The content, with a note for the user where positions were moved or a choice was made.
    """
    origin_px, size_px = (scanned.x, scanned.y), (scanned.w, scanned.h)
    if origin_px == WHOLE_SLIDE:
        # A slide without such an area has only one origin.
        return replace(content, origin_px=WHOLE_SLIDE)
    said = content.origin_px
    found = _likelier(content, origin_px, size_px) if said is None else said
    placed = replace(content, origin_px=found).counted_from(WHOLE_SLIDE)
    if said in (WHOLE_SLIDE, origin_px):
        return placed
    x, y = found
    why = "it says so" if said is not None else "this is where they lie on it"
    where = "the corner of the slide" if found == WHOLE_SLIDE else f"x {x:g}, y {y:g} of the slide"
    note = f"Positions in the file were counted from {where}; {why}."
    return replace(placed, notes=(*placed.notes, note))


def _likelier(content: NucleusFile, origin_px: Origin, size_px: Size) -> Origin:
    """Corner of the area, unless more positions lie on it when counted from the slide's corner."""
    xy = content.table[["x", "y"]].to_numpy(np.float64)
    corners = [np.array(region.vertices) for region in content.regions]
    places = np.concatenate([xy, *corners])
    from_slide = _count_inside(places - origin_px, size_px)
    return WHOLE_SLIDE if from_slide > _count_inside(places, size_px) else origin_px


def _count_inside(xy: npt.NDArray[np.float64], size_px: Size) -> int:
    return int(((xy >= 0) & (xy < size_px)).all(axis=1).sum())
