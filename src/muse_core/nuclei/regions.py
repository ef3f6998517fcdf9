"""NamedRegion: an outline on the slide, as files carry it beside the nuclei."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from muse_core.errors import UserError
from muse_core.nuclei.naming import fault_of_name


class RegionJson(TypedDict):
    """A region as JSON; corners are [x, y] in level-0 pixels."""

    name: str
    reviewed: bool
    vertices: list[list[float]]


@dataclass(frozen=True)
class NamedRegion:
    """A polygon without holes, closed from the last corner to the first.

    Attributes:
        vertices: At least three (x, y) pairs, level-0 pixels.
        name: What a person called it, or "".
        reviewed: Whether every nucleus in it has been looked at.

    Raises:
        UserError: There are fewer than three corners, one is not finite, or the name is none.
    """

    vertices: tuple[tuple[float, float], ...]
    name: str = ""
    reviewed: bool = False

    def __post_init__(self) -> None:
        if len(self.vertices) < 3 or any(len(v) != 2 for v in self.vertices):
            raise UserError("A region needs at least three corners of two numbers each.")
        if not all(math.isfinite(c) for v in self.vertices for c in v):
            raise UserError("A region has a corner that is not a number.")
        fault = fault_of_name(self.name)
        if fault:
            raise UserError(f"A region cannot have a name {fault}.")

    def to_json(self) -> RegionJson:
        """A JSON-able object, the inverse of :meth:`from_json`."""
        return {
            "name": self.name,
            "reviewed": self.reviewed,
            "vertices": [list(v) for v in self.vertices],
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> NamedRegion:
        """Rebuild a region; raises UserError when the object is not one."""
        try:
            vertices = tuple((float(x), float(y)) for x, y in item["vertices"])
            return cls(vertices, str(item.get("name", "")), item.get("reviewed") is True)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise UserError(f"This is not a region: {error}.") from error


def corners(ring: Iterable[Any]) -> tuple[tuple[float, float], ...]:
    """Corners of a ring as GeoJSON writes it: without the last if it repeats the first, nor z."""
    points = tuple((float(p[0]), float(p[1])) for p in ring)
    return points[:-1] if len(points) > 3 and points[0] == points[-1] else points
