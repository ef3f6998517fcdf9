"""Choose the nuclei to draw as points: those in view and around it, unless they are too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from muse_core.array_types import Mask
from muse_core.slides import Region
from napari_muse.annotations.nucleus_arrays import NucleusArrays

MAX_IN_VIEW = 4_000
"""More points than this cannot be distinguished; density images are shown instead."""
MAX_DRAWN = 6_000
"""More points than this, with those around the view, make every change slow."""
_MARGINS = (0.5, 0.2, 0.1, 0.05)
"""Margins around the view, in multiples of its size, within which panning loads nothing."""


@dataclass(frozen=True)
class RowsInView:
    """Nuclei to draw as points.

    Attributes:
        rows: (n,) rows of them; empty if more than ``MAX_IN_VIEW`` are in view.
        in_view: Number of nuclei in view.
        loaded: The region whose nuclei are all in ``rows``; None for the whole slide, or if
            ``rows`` is empty.
    """

    rows: Any
    in_view: int
    loaded: Region | None


def rows_in_view(nuclei: NucleusArrays, wanted: Mask, view: Region) -> RowsInView:
    """Choose the nuclei to draw.

    Args:
        nuclei: All nuclei of the slide.
        wanted: (N,) which of them can be shown at all.
        view: What the canvas shows, level-0 pixels.
    """
    rows = nuclei.rows
    if len(rows) <= MAX_IN_VIEW:
        return RowsInView(rows[wanted], int(wanted.sum()), None)
    in_view = int((wanted & nuclei.inside(view)).sum())
    if in_view > MAX_IN_VIEW:
        return RowsInView(rows[:0], in_view, None)
    # The largest margin that fits, so that panning loads nothing. All rows are tested once, against
    # the largest margin; the smaller ones are tested on the result.
    around = np.flatnonzero(wanted & nuclei.inside(view.grown(_MARGINS[0])))
    x, y = rows["x"][around], rows["y"][around]
    for margin in (*_MARGINS, 0.0):
        loaded = view.grown(margin)
        inside = loaded.contains(x, y)
        if inside.sum() <= MAX_DRAWN:
            break
    return RowsInView(rows[around[inside]], in_view, loaded)
