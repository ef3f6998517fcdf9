"""Choose the nuclei and regions that a slide takes over from a file, and those they replace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from shapely import LinearRing

from muse_core.array_types import Mask
from muse_core.errors import UserError
from muse_core.neighbours import near_any, pairs_within, repeated
from muse_core.nuclei import NamedRegion, NucleusFile, Status
from muse_core.nuclei.table import ONE_PLACE_PX
from napari_muse.annotations.nucleus_arrays import NucleusArrays

_SAME_PLACE_PX = 1.0
_MOST_REGIONS = 1000
"""Each is drawn, listed and counted at every change; more of them make the window wait."""


@dataclass(frozen=True)
class Taken:
    """Nuclei and regions of a file that a slide takes over.

    Attributes:
        table: NucleusTable of the nuclei.
        replaced: Ids of the slide's predictions whose places they take.
        regions: Regions that the slide has not got.
    """

    table: pd.DataFrame
    replaced: npt.NDArray[np.int64]
    regions: tuple[NamedRegion, ...]


def require_regions(content: NucleusFile) -> None:
    """Raises UserError where a file has more regions than a person can have drawn."""
    if len(content.regions) > _MOST_REGIONS:
        raise UserError(
            f"The file has {len(content.regions):,} annotations, and at most {_MOST_REGIONS:,}"
            " are taken over as regions. If each is a nucleus, tick “Outlines of annotations"
            " are nuclei” and import the file again."
        )


def taken_of(content: NucleusFile, slide: NucleusArrays, regions: pd.DataFrame) -> Taken:
    """Nuclei and regions of a file that a slide takes over.

    Where both have a nucleus at the same place, the file's stands unless a person has looked at the
    one that is here. What the file itself has twice is taken once.

    Args:
        content: The file, on the slide's level-0 pixels.
        slide: What the slide has.
        regions: Its regions.
    """
    rows = slide.rows
    table = content.table[~_repeated(content.table)]
    xy = table[["x", "y"]].to_numpy(dtype=np.float64)
    persons = slide.present & (rows["status"] != Status.PREDICTED)
    new = table[~near(xy, rows[persons], _SAME_PLACE_PX)]
    here = np.stack([rows["x"], rows["y"]], axis=1)
    doubles = (rows["status"] == Status.PREDICTED) & near(here, new, _SAME_PLACE_PX)
    outlines = {str([list(v) for v in region.vertices]): region for region in content.regions}
    fresh = _not_there(list(outlines.values()), regions["vertices"].tolist())
    return Taken(new, rows["id"][doubles].copy(), fresh)


def _not_there(
    regions: list[NamedRegion], there: list[list[list[float]]]
) -> tuple[NamedRegion, ...]:
    """The regions that are none of those that are there.

    Programs round corners, begin at another of them, and leave out those on a straight line; so
    outlines are the same that run nowhere more than a pixel beside each other.
    """
    known = [LinearRing(vertices) for vertices in there]
    bounds = np.array([ring.bounds for ring in known]).reshape(-1, 4)
    fresh = []
    for region in regions:
        ring = LinearRing(region.vertices)
        near = np.flatnonzero((np.abs(bounds - ring.bounds) <= _SAME_PLACE_PX).all(axis=1))
        if not any(known[i].hausdorff_distance(ring) <= _SAME_PLACE_PX for i in near):
            fresh.append(region)
    return tuple(fresh)


def near(xy: npt.NDArray[np.float64], others: Any, distance_px: float) -> Mask:
    """(N,) which points lie within a distance of one of the others, which have x and y."""
    return near_any(xy, np.stack([others["x"], others["y"]], axis=1), distance_px)


def _repeated(table: pd.DataFrame) -> Mask:
    """(N,) which nuclei lie where one of the same source stands further up in the table."""
    pairs = pairs_within(table[["x", "y"]].to_numpy(dtype=np.float64), ONE_PLACE_PX)
    model = pd.factorize(table["model"])[0]
    return repeated(pairs[model[pairs[:, 0]] == model[pairs[:, 1]]], len(table))
