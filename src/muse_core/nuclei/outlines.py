"""Areas of outlines that people draw."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from muse_core.errors import UserError


def read_vertices(text: str) -> list[list[float]]:
    """Corners [x, y] of an outline as a store keeps it.

    Raises:
        UserError: It is no list of at least three corners with finite coordinates.
    """
    try:
        corners = np.array(json.loads(text), dtype=np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UserError("A region of this store is damaged.") from error
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise UserError("A region of this store is damaged: it has no corners.")
    if not np.isfinite(corners).all():
        raise UserError("A region of this store is damaged: its corners are nowhere.")
    vertices: list[list[float]] = corners.tolist()
    return vertices


def outline_area(vertices: Sequence[Sequence[float]]) -> BaseGeometry | None:
    """The area inside an outline of x, y, which may cross itself; None where there is none."""
    valid = shapely.make_valid(Polygon(vertices))
    parts: list[Any] = [g for g in shapely.get_parts(valid) if isinstance(g, Polygon)]
    # A crossing outline can fall apart into several polygons, and into lines, which have no area.
    parts += [p for g in shapely.get_parts(valid) if isinstance(g, MultiPolygon) for p in g.geoms]
    area = shapely.union_all(parts)
    return area if area.area > 0 else None


def inside_any(
    areas: Iterable[BaseGeometry], x: npt.ArrayLike, y: npt.ArrayLike
) -> npt.NDArray[np.bool_]:
    """(N,) which points lie in any of the areas; points outside an area's bounds are not tested."""
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    inside = np.zeros(len(xs), dtype=bool)
    for area in areas:
        x0, y0, x1, y1 = area.bounds
        near = np.flatnonzero((xs >= x0) & (xs <= x1) & (ys >= y0) & (ys <= y1) & ~inside)
        inside[near] = shapely.contains_xy(area, xs[near], ys[near])
    return inside


def merged_areas(areas: Sequence[BaseGeometry]) -> list[tuple[list[int], BaseGeometry]]:
    """Unions of touching areas, each with the indices of its members, in the order of the first."""
    groups: list[tuple[list[int], BaseGeometry]] = []
    for number, area in enumerate(areas):
        members, parts, apart = [number], [area], []
        for group in groups:
            if group[1].intersects(area):
                members += group[0]
                parts.append(group[1])
            else:
                apart.append(group)
        groups = [*apart, (sorted(members), shapely.union_all(parts))]
    return sorted(groups, key=lambda group: group[0][0])
