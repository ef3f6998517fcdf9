"""Refuse nuclei of several slides or planes, which would be laid over each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from muse_core.errors import UserError
from muse_core.nuclei.formats.columns import part_headings, require_one_part, require_one_plane
from muse_core.nuclei.formats.geojson.shapes import Shapes
from muse_core.nuclei.formats.headings import by_lower_case
from muse_core.nuclei.formats.qupath import plane_of


class OnePart:
    """Slides and planes of the nuclei seen so far, of which there must be one.

    Attributes:
        planes: Numbers, from 0, of focal plane and point of time.
    """

    def __init__(self) -> None:
        self.planes: set[tuple[int, int]] = set()
        self._heights: set[float] = set()
        self._named: dict[str, set[Any]] = {}

    def add(
        self, geometry: Mapping[str, Any], shapes: Shapes, properties: Mapping[str, Any]
    ) -> None:
        """Take the nuclei of a feature.

        Raises:
            UserError: They lie on another slide or plane than those before.
        """
        self.planes.add(plane_of(geometry))
        if len(self.planes) > 1:
            shown = " and ".join(f"z {z}, t {t}" for z, t in sorted(self.planes))
            raise UserError(f"It holds nuclei of several planes ({shown}); keep those of one.")
        self._heights |= shapes.heights()
        if len(self._heights) > 1:
            require_one_plane(self._heights, "by the z of its geometries")
        for key, heading in _part_properties(tuple(properties)):
            self._add_named(key, heading, properties[heading])

    def _add_named(self, key: str, heading: str, value: object) -> None:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            return
        if isinstance(value, float) and math.isnan(value):
            return  # no two of them are the same
        values = self._named.setdefault(heading, set())
        if value not in values:
            values.add(value)
            require_one_part(values, key, heading, "property")


@lru_cache(maxsize=256)
def _part_properties(properties: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Keys of PART_KEYS and names of the properties that name slides or planes."""
    return tuple(part_headings(by_lower_case(properties)).items())
