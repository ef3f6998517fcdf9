"""Geometries of GeoJSON as lists of polygons, points and lines."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from shapely import Polygon

from muse_core.errors import UserError
from muse_core.nuclei.formats.geojson.rows import OddFeatureError
from muse_core.nuclei.outlines import outline_area
from muse_core.nuclei.regions import NamedRegion, corners
from muse_core.nuclei.table import FARTHEST_PX

_MAX_DEPTH = 10
_LINES = ("LineString", "MultiLineString")
GEOMETRIES = ("Polygon", "MultiPolygon", "Point", "MultiPoint", *_LINES, "GeometryCollection")
"""Types of a geometry (RFC 7946, section 1.4)."""


@dataclass
class Shapes:
    """Parts of a geometry, coordinates as GeoJSON has them.

    Attributes:
        polygons: Each a list of rings.
        points: Each a list of coordinates.
        n_lines: How many lines there are.
    """

    polygons: list[Any] = field(default_factory=list)
    points: list[Any] = field(default_factory=list)
    n_lines: int = 0

    def heights(self) -> set[float]:
        """The third coordinates of points and of the first corners of polygons, where they are."""
        places = [*self.points, *(_first(_first(polygon)) for polygon in self.polygons)]
        third = [p[2] for p in places if isinstance(p, list) and len(p) > 2]
        return {float(z) for z in third if isinstance(z, int | float) and math.isfinite(z)}


def _first(values: Any) -> Any:
    """The first of a list, None for an empty one and what is none."""
    return values[0] if isinstance(values, list) and values else None


def shapes_of(geometry: dict[str, Any]) -> Shapes:
    """Parts of a geometry of any kind, collections of geometries too.

    Raises:
        OddFeatureError: It is none that GeoJSON knows.
    """
    shapes = Shapes()
    _gather(geometry, shapes, 0)
    return shapes


def _gather(geometry: dict[str, Any], shapes: Shapes, depth: int) -> None:
    kind = geometry["type"]
    if kind == "GeometryCollection":
        if depth > _MAX_DEPTH:
            raise OddFeatureError("deep")
        for part in geometry["geometries"]:
            _gather(part, shapes, depth + 1)
        return
    if kind not in GEOMETRIES:
        raise OddFeatureError("shape")
    coordinates = geometry["coordinates"]
    if not isinstance(coordinates, list):
        raise OddFeatureError("odd")
    if kind in _LINES:
        shapes.n_lines += 1
    elif kind == "Polygon":
        shapes.polygons.append(coordinates)
    elif kind == "MultiPolygon":
        shapes.polygons += coordinates
    elif kind == "Point":
        shapes.points.append(coordinates)
    else:
        shapes.points += coordinates


def region_of(ring: list[Any], name: str, reviewed: bool) -> NamedRegion:
    """A region from the outer ring of a polygon.

    Raises:
        OddFeatureError: It has no area, or lies beyond any slide.
    """
    try:
        region = NamedRegion(corners(ring), name, reviewed)
    except UserError as error:
        raise OddFeatureError("flat") from error
    if max(abs(c) for vertex in region.vertices for c in vertex) > FARTHEST_PX:
        raise OddFeatureError("far")
    # What crosses itself can have an area though its parts cancel out.
    if Polygon(region.vertices).area == 0 and outline_area(region.vertices) is None:
        raise OddFeatureError("flat")
    return region
