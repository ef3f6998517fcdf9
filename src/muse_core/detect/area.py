"""SearchArea: where nuclei are wanted, the union of rectangles and polygons inside a slide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.slides import PolygonRegion, Region

Shape = Region | PolygonRegion


@dataclass(frozen=True)
class SearchArea:
    """A union of shapes, clipped to a slide; all in level-0 pixels.

    Attributes:
        shapes: At least one; none lies wholly outside ``limit``.
        limit: The slide's own rectangle.
    """

    shapes: tuple[Shape, ...]
    limit: Region

    @classmethod
    def within(cls, width: int, height: int, wanted: Shape | Sequence[Shape] | None) -> SearchArea:
        """The wanted shapes inside a slide of this size; None is the whole slide.

        Raises:
            UserError: Nothing wanted lies on the slide, or it is of another type.
        """
        limit = Region(0.0, 0.0, float(width), float(height))
        if wanted is None:
            return cls((limit,), limit)
        if not isinstance(wanted, Iterable):
            wanted = (wanted,)
        given = tuple(wanted)
        if not given:
            raise UserError("No region is given; None is the whole slide.")
        kept: list[Shape] = []
        for shape in given:
            if not isinstance(shape, Region | PolygonRegion):
                raise UserError(
                    f"A region is a Region or PolygonRegion, as in Region(0, 0, 500, 500), not"
                    f" {shape!r:.100}."
                )
            clipped = shape.bounds.intersect(limit)
            if clipped is not None:
                kept.append(clipped if isinstance(shape, Region) else shape)
        if not kept:
            raise UserError(f"The region lies outside the slide, which is {width} x {height} px.")
        return cls(tuple(kept), limit)

    @property
    def bounds(self) -> Region:
        """The smallest rectangle around all shapes, clipped to the slide."""
        boxes = [b for s in self.shapes if (b := s.bounds.intersect(self.limit)) is not None]
        x, y = min(b.x for b in boxes), min(b.y for b in boxes)
        return Region(x, y, max(b.x1 for b in boxes) - x, max(b.y1 for b in boxes) - y)

    def contains(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """Return (N,) which points lie in any shape and on the slide."""
        inside = np.zeros(len(x), dtype=bool)
        for shape in self.shapes:
            inside |= shape.contains(x, y)
        return inside & self.limit.contains(x, y)

    def touches(self, box: Region) -> bool:
        """Whether any shape shares a point with the rectangle."""
        return any(
            shape.bounds.intersect(box) is not None and shape.touches(box) for shape in self.shapes
        )
