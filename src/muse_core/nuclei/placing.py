"""From positions in a file to positions on a slide, where the two do not begin at one place.

Slides that are mostly empty (MRXS, some SCN) keep tissue in a scanned area far from their corner.
QuPath shows that area alone and counts from its corner; OpenSlide and most libraries count from the
corner of the slide. Both write files that do not say so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from muse_core.nuclei.nucleus_file import WHOLE_SLIDE, NucleusFile, Origin

Size = tuple[float, float]


class Rectangle(Protocol):
    """A rectangle in level-0 pixels, such as a Region of slides, which this room does not know."""

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
    """Return what a file holds, with positions counted from the corner of a slide.

    A file that does not say where it counts from is taken by where its positions lie: those of the
    slide's corner would hit the scanned area more often, or else those of the area's corner.

    Args:
        content: As read.
        scanned: The slide's scanned area.

    Returns:
        The content, with a note for the user where positions were moved or a choice was made.
    """
    origin_px, size_px = (scanned.x, scanned.y), (scanned.w, scanned.h)
    if origin_px == WHOLE_SLIDE:
        # Of a slide without such an area there is one origin only.
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
