"""Find the areas that another model must search to replace all predictions of the last one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from muse_core.array_types import FloatArray
from muse_core.slides import PolygonRegion, Region

_CELL_PX = 1024.0
"""Predictions closer than this are taken to come from the same search."""
_MARGIN_PX = 16.0
_MOST_AREAS = 200


def areas_again(
    xy: FloatArray, last: Sequence[Region | PolygonRegion] | None, bounds: Region
) -> list[Region | PolygonRegion]:
    """Return areas to search so that the predictions at some places are replaced.

    Args:
        xy: (n, 2) places of predictions, level-0 pixels.
        last: Areas that the last detection has searched, none for the whole slide; None if unknown.
        bounds: The slide.

    Returns:
        ``last`` if it contains all of them, else areas around them; empty for the whole slide.
    """
    if last is not None and not last:
        return []
    outlines = [_outline(shape) for shape in last or ()]
    known = shapely.union_all(outlines) if outlines else shapely.Polygon()
    beside = xy[~shapely.contains_xy(known, xy[:, 0], xy[:, 1])] if outlines else xy
    if not len(beside):
        return list(last or ())
    boxes = [box for group in _groups(beside) for box in _around(group, bounds)]
    merged = shapely.union_all([*outlines, *boxes])
    parts = list(getattr(merged, "geoms", (merged,)))
    if len(parts) > _MOST_AREAS:
        parts = [shapely.box(*merged.bounds)]
    return [PolygonRegion(tuple(part.exterior.coords)[:-1]) for part in parts]


def _outline(shape: Region | PolygonRegion) -> shapely.Geometry:
    if isinstance(shape, Region):
        return shapely.box(shape.x, shape.y, shape.x1, shape.y1)
    return shapely.make_valid(shapely.Polygon(shape.vertices))


def _groups(xy: FloatArray) -> list[FloatArray]:
    """Points by the connected areas of occupied cells that they lie in."""
    cells, cell_of = np.unique(np.floor(xy / _CELL_PX), axis=0, return_inverse=True)
    corners = cells * _CELL_PX
    boxes = shapely.box(*corners.T, *(corners + _CELL_PX).T)
    merged = shapely.union_all(boxes)
    areas = np.array(getattr(merged, "geoms", (merged,)))
    middles = shapely.points(corners + _CELL_PX / 2)
    cell, area = shapely.STRtree(areas).query(middles, predicate="within")
    area_of_cell = np.zeros(len(cells), np.intp)
    area_of_cell[cell] = area
    which = area_of_cell[cell_of.ravel()]
    return [xy[which == number] for number in range(len(areas))]


def _around(xy: FloatArray, bounds: Region) -> list[shapely.Geometry]:
    """The rectangle around points with a margin, within the slide, where any of it is."""
    (x0, y0), (x1, y1) = xy.min(axis=0) - _MARGIN_PX, xy.max(axis=0) + _MARGIN_PX
    inside = Region(float(x0), float(y0), float(x1 - x0), float(y1 - y0)).intersect(bounds)
    return [] if inside is None else [_outline(inside)]
