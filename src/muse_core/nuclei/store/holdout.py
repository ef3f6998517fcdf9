"""Which reviewed regions are held back from training, decided once and for all.

A nucleus that a model may have learnt from must not come to judge it, nor the other way round: what
is decided stays, whatever becomes of this or another region, and holds for the tissue, also when
the region is drawn anew. Only where a region joins fields of both sides does what was held back
come to train. Each function runs inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from shapely.geometry.base import BaseGeometry

from muse_core.nuclei.holdout import field_key, is_held_back
from muse_core.nuclei.outlines import merged, outline_area, read_vertices


@dataclass(frozen=True)
class _Region:
    """A region that was reviewed once, with its area, level-0 pixels."""

    number: int
    area: BaseGeometry
    vertices: str


def decide(connection: sqlite3.Connection) -> None:
    """Decide for the reviewed regions that are new, oldest first.

    One that meets tissue of which it is decided is held back if all of that is.
    """
    present = _regions(connection, "SELECT id, vertices FROM regions WHERE reviewed ORDER BY id")
    decided = _regions(connection, "SELECT region_id, vertices FROM hold_out")
    stored = read_fates(connection)
    fingerprint = connection.execute("SELECT fingerprint FROM slide").fetchone()[0]
    fates = _with_joined_fields_training(present, stored)
    for region in [r for r in present if r.number not in stored]:
        met = [fates[r.number] for r in decided if r.area.intersects(region.area)]
        # Regions of one field share its fate, so that those of regions do for those of fields.
        others = [fates[r.number] for r in present if r.number in fates]
        key = field_key(fingerprint, read_vertices(region.vertices))
        held = all(met) if met else is_held_back(key, others)
        fates[region.number] = held
        decided.append(region)
        if met and not held:
            fates = _with_joined_fields_training(present, fates)
    connection.executemany(
        "INSERT INTO hold_out VALUES (?, ?, ?)"
        " ON CONFLICT(region_id) DO UPDATE SET held = excluded.held",
        [
            (r.number, int(fates[r.number]), r.vertices)
            for r in decided
            if fates[r.number] != stored.get(r.number)
        ],
    )


def read_fates(connection: sqlite3.Connection) -> dict[int, bool]:
    """Of each region that was ever reviewed, by its id, whether it is held back."""
    rows = connection.execute("SELECT region_id, held FROM hold_out")
    return {number: bool(held) for number, held in rows}


def _regions(connection: sqlite3.Connection, query: str) -> list[_Region]:
    found = []
    for number, vertices in connection.execute(query).fetchall():
        area = outline_area(read_vertices(vertices))
        if area is not None:
            found.append(_Region(number, area, vertices))
    return found


def _with_joined_fields_training(present: list[_Region], fates: dict[int, bool]) -> dict[int, bool]:
    """The fates where no region that is held back is in a field with one that trains."""
    regions = [region for region in present if region.number in fates]
    adjusted = dict(fates)
    for members, _ in merged([region.area for region in regions]):
        numbers = [regions[m].number for m in members]
        held = all(fates[number] for number in numbers)
        adjusted.update(dict.fromkeys(numbers, held))
    return adjusted
