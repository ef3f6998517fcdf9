"""Regions of a slide in level-0 pixels: rectangles and polygons.

Coordinates are floats, x to the right and y down, with the origin at the top-left corner of the
top-left pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import shapely

from muse_core.errors import UserError
from muse_core.typed_number import read_number


@dataclass(frozen=True)
class Region:
    """A rectangle in level-0 pixels.

    Attributes:
        x: Left edge.
        y: Top edge.
        w: Width, above 0.
        h: Height, above 0.

    Raises:
        UserError: A value is no finite number, or the rectangle is empty.
    """

    x: float
    y: float
    w: float
    h: float

    def __post_init__(self) -> None:
        given = (self.x, self.y, self.w, self.h)
        try:
            finite = all(map(math.isfinite, given))
        except TypeError as error:
            raise UserError(f"A region is four numbers in pixels, not {given!r:.100}.") from error
        if not finite:
            raise UserError("The four numbers of a region must be finite.")
        if self.w <= 0 or self.h <= 0:
            raise UserError(f"A region needs a positive size, got {self.w:g} x {self.h:g}.")

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read ``"X,Y,W,H"`` in level-0 pixels; raises UserError when it is not that."""
        try:
            x, y, w, h = (read_number(part) for part in text.split(","))
        except (ValueError, UserError):
            raise UserError(f"A region is four numbers X,Y,W,H in pixels, got {text!r}.") from None
        return cls(x, y, w, h)

    @property
    def x1(self) -> float:
        """Right edge."""
        return self.x + self.w

    @property
    def y1(self) -> float:
        """Bottom edge."""
        return self.y + self.h

    @property
    def area_px(self) -> float:
        """Area in square level-0 pixels."""
        return self.w * self.h

    @property
    def bounds(self) -> Region:
        """The rectangle itself, so that rectangles and polygons serve alike."""
        return self

    def intersect(self, other: Region) -> Region | None:
        """The common part, or None when the two only touch or lie apart."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        w, h = min(self.x1, other.x1) - x, min(self.y1, other.y1) - y
        return Region(x, y, w, h) if w > 0 and h > 0 else None

    def touches(self, box: Region) -> bool:
        """Return whether the two have an area in common."""
        return self.intersect(box) is not None

    def grown(self, share: float) -> Region:
        """The rectangle with a margin on each side, a share of its size."""
        dx, dy = share * self.w, share * self.h
        return Region(self.x - dx, self.y - dy, self.w + 2 * dx, self.h + 2 * dy)

    def holds(self, other: Region) -> bool:
        """Whether all of the other lies inside."""
        return (
            self.x <= other.x and self.y <= other.y and self.x1 >= other.x1 and self.y1 >= other.y1
        )

    def contains(self, x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which points lie inside; only the left and top edges belong to the region.

        Args:
            x: Level-0 pixels, any shape.
            y: Level-0 pixels, same shape.
        """
        xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
        return (xs >= self.x) & (xs < self.x1) & (ys >= self.y) & (ys < self.y1)


@dataclass(frozen=True)
class PolygonRegion:
    """A simple polygon in level-0 pixels, closed from the last vertex to the first.

    Attributes:
        vertices: At least three (x, y) pairs that span an area.

    Raises:
        UserError: There are too few vertices, one is not two finite numbers, or all lie on a line
            along x or y.
    """

    vertices: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        try:
            shape = np.asarray(self.vertices, np.float64).shape
        except (TypeError, ValueError):
            shape = ()
        if len(shape) != 2 or shape[0] < 3 or shape[1] != 2:
            raise UserError("A polygon needs at least three vertices of two numbers each.")
        _ = self.bounds  # refuses what is not finite or has no extent

    @property
    def bounds(self) -> Region:
        """The smallest rectangle around the polygon."""
        points = np.asarray(self.vertices, np.float64)
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        return Region(float(x0), float(y0), float(x1 - x0), float(y1 - y0))

    @property
    def area_px(self) -> float:
        """Area in square level-0 pixels."""
        return float(self._polygon.area)

    def contains(self, x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which points lie inside, by the even-odd rule; edges as those of a Region.

        Args:
            x: Level-0 pixels, any shape.
            y: Level-0 pixels, same shape.
        """
        xs, ys = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        inside = np.array(shapely.contains_xy(self._polygon, xs, ys), dtype=bool)
        on_edge = np.asarray(shapely.intersects_xy(self._polygon, xs, ys)) & ~inside
        inside[on_edge] = self._edge_belongs(xs[on_edge], ys[on_edge])
        return inside

    def touches(self, box: Region) -> bool:
        """Return whether the polygon and a rectangle share a point."""
        if self._ring.intersects(shapely.box(box.x, box.y, box.x1, box.y1)):
            return True
        # No edge comes near, so the rectangle lies wholly inside or wholly outside.
        return bool(self.contains(box.x + box.w / 2, box.y + box.h / 2))

    @cached_property
    def _polygon(self) -> shapely.Polygon:
        polygon = shapely.Polygon(self.vertices)
        shapely.prepare(polygon)
        return polygon

    @cached_property
    def _ring(self) -> shapely.LinearRing:
        """The outline alone: of one that crosses itself, too, it is known what it meets."""
        ring = shapely.LinearRing(self.vertices)
        shapely.prepare(ring)
        return ring

    def _edge_belongs(
        self, xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """Return which points (N,) on edges are inside: those on left and top ones."""
        inside = np.zeros(xs.shape, bool)
        for (xa, ya), (xb, yb) in zip(
            self.vertices, (*self.vertices[1:], self.vertices[0]), strict=True
        ):
            crosses = (ys < ya) != (ys < yb)
            turn = (xs - xa) * (yb - ya) - (ys - ya) * (xb - xa)
            inside ^= crosses & (turn < 0 if yb > ya else turn > 0)
        return inside
