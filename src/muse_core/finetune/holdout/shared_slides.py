"""Joint holdout of several stores of one slide: no store trains on the holdout of another."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import shapely
from shapely.geometry.base import BaseGeometry

from muse_core.nuclei.reviewed import ReviewedField


def join_holdouts(
    stores: Sequence[Sequence[ReviewedField]],
) -> tuple[tuple[ReviewedField, ...], ...]:
    """Add to the holdout each field that meets a holdout field of another store of the slide.

    Args:
        stores: The fields of each store; those of one store do not meet.

    Returns:
        The same fields in the same order.
    """
    area = holdout_area([field for fields in stores for field in fields])
    found = tuple(
        tuple(dataclasses.replace(f, holdout=f.holdout or f.area.intersects(area)) for f in fields)
        for fields in stores
    )
    # A field that joins the holdout for the sake of another one may meet others in turn.
    return found if _count(found) == _count(stores) else join_holdouts(found)


def holdout_area(fields: Sequence[ReviewedField]) -> BaseGeometry:
    """Return the area of the holdout fields, level-0 pixels; empty where there are none."""
    return shapely.union_all([field.area for field in fields if field.holdout])


def _count(stores: Sequence[Sequence[ReviewedField]]) -> int:
    return sum(field.holdout for fields in stores for field in fields)
