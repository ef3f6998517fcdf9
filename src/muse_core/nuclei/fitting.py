"""Check whether a file of nuclei belongs to a slide, by its name, positions and scale."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.nuclei.counted import counted, counted_nuclei
from muse_core.nuclei.nucleus_file import NucleusFile
from muse_core.nuclei.recorded_slide import RecordedSlide
from muse_core.nuclei.regions import NamedRegion

_EDGE_PX = 1.0
"""Tolerance at the edge of the slide, for rounded positions."""
_STEP_PX = 0.001
"""Files of nuclei are rounded to this."""
_SCALE = 0.05
"""Relative difference from which two scales cannot be of the same slide."""


@dataclass(frozen=True)
class SlideFrame:
    """Size and scale of a slide, which files of nuclei are compared with.

    Attributes:
        width: Level-0 pixels.
        height: Level-0 pixels.
        mpp: Microns per level-0 pixel, or None while it is unknown.
        slide: The slide as files of nuclei name it; None for pixels that are no file.
    """

    width: int
    height: int
    mpp: float | None = None
    slide: RecordedSlide | None = None


@dataclass(frozen=True)
class Fit:
    """The part of a file's content that lies on a slide, with doubts about the rest.

    Attributes:
        content: That part.
        named: A sentence if the file names another slide, or "".
        beside: A sentence if something lies outside the slide, or "".
        scale: A sentence if the file has another scale, or "".
    """

    content: NucleusFile
    named: str = ""
    beside: str = ""
    scale: str = ""

    @property
    def doubts(self) -> tuple[str, ...]:
        """Sentences that say why the file may be of another slide; none where it fits."""
        return tuple(filter(None, (self.named, self.beside, self.scale)))

    @property
    def question(self) -> str:
        """Question to ask before the part is taken over."""
        n, regions = len(self.content.table), len(self.content.regions)
        rest = counted_nuclei(n)
        if regions:
            rest += f" and {counted(regions, 'region', 'regions')}"
        doubts = " ".join(self.doubts)
        if not self.named:
            doubts += " The file may be of another slide."
        return f"{doubts} Take over {rest}{', those on this slide' if self.beside else ''}?"


def fit(content: NucleusFile, frame: SlideFrame) -> Fit:
    """Compare a file with a slide.

    Args:
        content: The file, positions counted from the corner of the slide.
        frame: Of the slide it is to be taken over on.

    Raises:
        UserError: All of it lies outside the slide.
    """
    x, y = (content.table[name].to_numpy(dtype=np.float64) for name in ("x", "y"))
    width, height = frame.width, frame.height
    inside = (x >= -_EDGE_PX) & (y >= -_EDGE_PX)
    inside &= (x <= width + _EDGE_PX) & (y <= height + _EDGE_PX)
    regions = tuple(r for r in content.regions if _meets(r, width, height))
    beside = [
        counted(gone, one, many)
        for gone, one, many in (
            (int((~inside).sum()), "nucleus", "nuclei"),
            (len(content.regions) - len(regions), "region", "regions"),
        )
        if gone
    ]
    named = other_slide_named(content, frame.slide)
    lies_beside = ""
    if beside:
        everything = len(content.table) + len(content.regions)
        size = f"which is {width:,} x {height:,} px"
        if not inside.any() and not regions:
            raise UserError(
                f"All that the file has, {' and '.join(beside)}, lies beside this slide, {size}:"
                f" it is of another slide. {named}".rstrip()
            )
        lies = "lies" if beside in (["1 nucleus"], ["1 region"]) else "lie"
        total = counted(everything, "object", "objects")
        lies_beside = (
            f"Of {total} in the file {' and '.join(beside)} {lies} beside this slide, {size}."
        )
    scale = ""
    if content.mpp and frame.mpp and abs(math.log(content.mpp / frame.mpp)) > _SCALE:
        scale = (
            f"The file counts {content.mpp:.4g} µm per pixel, and this slide has {frame.mpp:.4g}."
        )
    table = content.table[inside].reset_index(drop=True)
    return Fit(replace(content, table=table, regions=regions), named, lies_beside, scale)


def moved_inside(xy: npt.NDArray[np.float64], width: int, height: int) -> npt.NDArray[np.float64]:
    """Move positions on the far edges of the slide, or just beyond an edge, to the inside of it.

    They are nuclei of the slide to :func:`fit`, but would be in no part of it.

    Args:
        xy: (N, 2) level-0 pixels.
        width: Of the slide, level-0 pixels.
        height: Of the slide, level-0 pixels.

    Returns:
        (N, 2); positions farther out are unchanged.
    """
    size = np.array([width, height], dtype=np.float64)
    near = (xy >= -_EDGE_PX) & (xy <= size + _EDGE_PX)
    return np.where(near, np.clip(xy, 0.0, size - _STEP_PX), xy)


def other_slide_named(content: NucleusFile, slide: RecordedSlide | None) -> str:
    """A sentence where a file names another slide than the given; "" where either is not known."""
    if content.slide is None or slide is None:
        return ""
    why = content.slide.told_from(slide)
    return f"The file says that it is {why}." if why else ""


def _meets(region: NamedRegion, width: int, height: int) -> bool:
    x, y = np.array(region.vertices, dtype=np.float64).T
    return bool(x.max() > 0 and y.max() > 0 and x.min() < width and y.min() < height)
