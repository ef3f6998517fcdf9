"""Whether the nuclei of a file can be those of a slide: what lies beside it, and its scale."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from muse_core.errors import UserError
from muse_core.nuclei import NamedRegion, NucleusFile
from muse_core.slides import Slide

_EDGE_PX = 1.0
"""A position may be rounded to beside the edge."""
_SCALE = 0.05
"""Scales that differ by more than this share are not those of one slide."""


@dataclass(frozen=True)
class Fit:
    """What of a file lies on a slide.

    Attributes:
        content: That part of it.
        doubts: Sentences that say why the file may be of another slide; none where it fits.
    """

    content: NucleusFile
    doubts: tuple[str, ...]

    @property
    def question(self) -> str:
        """What to ask before the part is taken over."""
        n, regions = len(self.content.table), len(self.content.regions)
        rest = _counted(n, "nucleus", "nuclei")
        if regions:
            rest += f" and {_counted(regions, 'region', 'regions')}"
        doubts = " ".join(self.doubts)
        return f"{doubts} The file may be of another slide. Take over {rest}, those on this slide?"


def fit(content: NucleusFile, slide: Slide) -> Fit:
    """Compare a file with a slide.

    Args:
        content: The file, positions counted from the corner of the slide.
        slide: The slide it is to be taken over on.

    Raises:
        UserError: All that it has lies beside the slide.
    """
    x, y = (content.table[name].to_numpy(dtype=np.float64) for name in ("x", "y"))
    width, height = slide.width, slide.height
    inside = (x >= -_EDGE_PX) & (y >= -_EDGE_PX)
    inside &= (x <= width + _EDGE_PX) & (y <= height + _EDGE_PX)
    regions = tuple(r for r in content.regions if _meets(r, width, height))
    beside = [
        _counted(gone, one, many)
        for gone, one, many in (
            (int((~inside).sum()), "nucleus", "nuclei"),
            (len(content.regions) - len(regions), "region", "regions"),
        )
        if gone
    ]
    doubts = []
    if beside:
        everything = len(content.table) + len(content.regions)
        size = f"which is {width:,} x {height:,} px"
        if not inside.any() and not regions:
            raise UserError(
                f"All that the file has, {' and '.join(beside)}, lies beside this slide, {size}:"
                " it is of another slide."
            )
        total = _counted(everything, "object", "objects")
        doubts.append(
            f"Of {total} in the file {' and '.join(beside)} lie beside this slide, {size}."
        )
    if content.mpp and slide.mpp and abs(math.log(content.mpp / slide.mpp)) > _SCALE:
        doubts.append(
            f"The file counts {content.mpp:.4g} µm per pixel, and this slide has {slide.mpp:.4g}."
        )
    table = content.table[inside].reset_index(drop=True)
    return Fit(replace(content, table=table, regions=regions), tuple(doubts))


def _meets(region: NamedRegion, width: int, height: int) -> bool:
    x, y = np.array(region.vertices, dtype=np.float64).T
    return bool(x.max() > 0 and y.max() > 0 and x.min() < width and y.min() < height)


def _counted(number: int, one: str, many: str) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many}"
