"""Several stores of one slide: what one of them holds back, none of the others trains on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import shapely
from shapely.geometry.base import BaseGeometry

from muse_core.nuclei.reviewed import ReviewedField


def hold_back_together(
    stores: Sequence[Sequence[ReviewedField]],
) -> tuple[tuple[ReviewedField, ...], ...]:
    """Hold back each field that meets one that another store of the same slide holds back.

    Args:
        stores: The fields of each store; those of one store do not meet.

    Returns:
        The same fields in the same order.
    """
    withheld = withheld_area([field for fields in stores for field in fields])
    found = tuple(
        tuple(
            dataclasses.replace(f, held_back=f.held_back or f.area.intersects(withheld))
            for f in fields
        )
        for fields in stores
    )
    # A field held back for the sake of another one may meet others in turn.
    return found if _count(found) == _count(stores) else hold_back_together(found)


def withheld_area(fields: Sequence[ReviewedField]) -> BaseGeometry:
    """Where fields are held back, level-0 pixels; empty where none is."""
    return shapely.union_all([field.area for field in fields if field.held_back])


def _count(stores: Sequence[Sequence[ReviewedField]]) -> int:
    return sum(field.held_back for fields in stores for field in fields)
