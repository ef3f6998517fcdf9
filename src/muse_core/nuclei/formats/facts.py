"""Metadata of a file of nuclei, all but the table, as one JSON object."""

from __future__ import annotations

from typing import NamedTuple

import orjson
import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei.nucleus_file import (
    FIRST_PLANE,
    WHOLE_SLIDE,
    NucleusFile,
    Origin,
    Place,
    PlaneZT,
    check_positive_mpp,
)
from muse_core.nuclei.recorded_slide import RecordedSlide
from muse_core.nuclei.regions import NamedRegion
from muse_core.nuclei.scheme import ClassScheme
from muse_core.nuclei.table import FARTHEST_PX

_VERSION = 2
"""Version 1 had no origin: its files count from the corner of the slide."""
_DAMAGED = "The notes of napari-muse in this file are damaged."


class Facts(NamedTuple):
    """Classes, scale, regions, origin and more of a file, as :class:`NucleusFile` has them."""

    scheme: ClassScheme | None = None
    mpp: float | None = None
    regions: tuple[NamedRegion, ...] = ()
    origin_px: Origin | None = None
    slide: RecordedSlide | None = None
    unreadable_px: tuple[Place, ...] = ()
    plane_zt: PlaneZT = FIRST_PLANE

    def with_table(self, table: pd.DataFrame, notes: tuple[str, ...] = ()) -> NucleusFile:
        """The file's content, with its table and sentences for the user."""
        return NucleusFile(table, self.scheme, self.mpp, self.regions, notes, *self[3:])


def facts_of(content: NucleusFile) -> Facts:
    """Return the facts of a file's content: all but its table and notes."""
    return Facts(
        content.scheme,
        content.mpp,
        content.regions,
        content.origin_px,
        content.slide,
        content.unreadable_px,
        content.plane_zt,
    )


def facts_to_json(facts: Facts) -> dict[str, object]:
    """Facts as a JSON object, the inverse of :func:`facts_from_json`.

    Raises:
        UserError: mpp is not above 0.
    """
    check_positive_mpp(facts.mpp)
    found: dict[str, object] = {"version": _VERSION}
    if facts.slide is not None:
        found["slide"] = facts.slide.to_json()
    if facts.origin_px is not None:
        found["origin_px"] = list(facts.origin_px)
    if facts.mpp is not None:
        found["mpp"] = float(facts.mpp)
    if facts.scheme is not None:
        found["classes"] = facts.scheme.to_json()
    if facts.regions:
        found["regions"] = [r.to_json() for r in facts.regions]
    if facts.unreadable_px:
        found["unreadable_px"] = [list(place) for place in facts.unreadable_px]
    if facts.plane_zt != FIRST_PLANE:
        found["plane_zt"] = list(facts.plane_zt)
    return found


def facts_from_json(value: object) -> Facts:
    """Facts of a file.

    Args:
        value: The object, its JSON text, or None for a file without.

    Raises:
        UserError: It is something else.
    """
    if value is None:
        return Facts()
    if isinstance(value, str | bytes):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise UserError(_DAMAGED) from error
    if not isinstance(value, dict):
        raise UserError(_DAMAGED)
    classes, mpp, regions = value.get("classes"), value.get("mpp"), value.get("regions", [])
    if not isinstance(regions, list) or not isinstance(mpp, int | float | None):
        raise UserError(_DAMAGED)
    try:
        mpp = None if mpp is None else float(mpp)
    except OverflowError as error:
        raise UserError(_DAMAGED) from error
    check_positive_mpp(mpp)
    slide = value.get("slide")
    return Facts(
        None if classes is None else ClassScheme.from_json(classes),
        mpp,
        tuple(NamedRegion.from_json(r) for r in regions),
        _origin(value),
        None if slide is None else RecordedSlide.from_json(slide),
        _places(value.get("unreadable_px", [])),
        _plane(value.get("plane_zt", list(FIRST_PLANE))),
    )


def _origin(facts: dict[str, object]) -> Origin | None:
    if facts and facts.get("version", 1) == 1:
        return WHOLE_SLIDE
    found = facts.get("origin_px")
    if found is None:
        return None
    if not (isinstance(found, list) and len(found) == 2 and all(map(_is_place, found))):
        raise UserError(_DAMAGED)
    return float(found[0]), float(found[1])


def _places(found: object) -> tuple[Place, ...]:
    if not isinstance(found, list):
        raise UserError(_DAMAGED)
    for place in found:
        if not (isinstance(place, list) and len(place) == 4 and all(map(_is_place, place))):
            raise UserError(_DAMAGED)
    return tuple((x, y, w, h) for x, y, w, h in found)


def _plane(found: object) -> PlaneZT:
    if not (isinstance(found, list) and len(found) == 2 and all(map(_is_place, found))):
        raise UserError(_DAMAGED)
    return int(found[0]), int(found[1])


def _is_place(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= FARTHEST_PX
