"""Choose the nuclei and regions to import from a file, and the predictions they replace."""

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
"""Most regions of a file; each is drawn, listed and counted at every change."""


@dataclass(frozen=True)
class Taken:
    """Nuclei and regions to import from a file.

    Attributes:
        table: NucleusTable of the nuclei.
        replaced: Ids of the slide's predictions that they replace.
        regions: Regions that the slide does not have yet.
    """

    table: pd.DataFrame
    replaced: npt.NDArray[np.int64]
    regions: tuple[NamedRegion, ...]


def require_regions(content: NucleusFile) -> None:
    """Raise UserError if a file has more regions than a person can have drawn."""
    if len(content.regions) > _MOST_REGIONS:
        raise UserError(
            f"The file has {len(content.regions):,} annotations, and at most {_MOST_REGIONS:,}"
            " are taken over as regions. If each is a nucleus, tick “Outlines of annotations"
            " are nuclei” and import the file again."
        )


def taken_of(content: NucleusFile, slide: NucleusArrays, regions: pd.DataFrame) -> Taken:
    """Choose the nuclei and regions to import from a file.

    Where both have a nucleus at the same place, the file's replaces the slide's unless a person has
    looked at that one. Duplicates within the file are imported once.

    Args:
        content: The file, in the slide's level-0 pixels.
        slide: The slide's nuclei.
        regions: The slide's regions.
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
    """The regions that the slide does not have yet.

    Programs round coordinates, start at another corner, or drop corners on a straight line. So two
    outlines are the same if they are nowhere more than a pixel apart.
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
