"""Decide once and for all which reviewed regions are in the holdout.

A nucleus that a model may have been trained on must never be used to score it, and the other way
round. So a decision is permanent, whatever happens to this or other regions, and is bound to the
tissue, also if the region is drawn again. Only if a region joins a training and a holdout field
does the holdout field become one for training. Each function runs inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from shapely.geometry.base import BaseGeometry

from muse_core.nuclei.holdout import field_key, is_holdout
from muse_core.nuclei.outlines import merged_areas, outline_area, read_vertices


@dataclass(frozen=True)
class _Region:
    """A region that was reviewed once, with its area, level-0 pixels."""

    number: int
    area: BaseGeometry
    vertices: str


def decide(connection: sqlite3.Connection) -> None:
    """Decide for the new reviewed regions, oldest first.

    A region that overlaps tissue decided earlier joins the holdout if all of that tissue is in it.
    """
    present = _regions(connection, "SELECT id, vertices FROM regions WHERE reviewed ORDER BY id")
    decided = _regions(connection, "SELECT region_id, vertices FROM hold_out")
    stored = read_holdout(connection)
    fingerprint = connection.execute("SELECT fingerprint FROM slide").fetchone()[0]
    in_holdout = _with_joined_fields_training(present, stored)
    for region in [r for r in present if r.number not in stored]:
        met = [in_holdout[r.number] for r in decided if r.area.intersects(region.area)]
        # The sides of regions serve as those of fields: all regions of a field are on the same.
        others = [in_holdout[r.number] for r in present if r.number in in_holdout]
        key = field_key(fingerprint, read_vertices(region.vertices))
        held = all(met) if met else is_holdout(key, others)
        in_holdout[region.number] = held
        decided.append(region)
        if met and not held:
            in_holdout = _with_joined_fields_training(present, in_holdout)
    connection.executemany(
        "INSERT INTO hold_out VALUES (?, ?, ?)"
        " ON CONFLICT(region_id) DO UPDATE SET held = excluded.held",
        [
            (r.number, int(in_holdout[r.number]), r.vertices)
            for r in decided
            if in_holdout[r.number] != stored.get(r.number)
        ],
    )


def read_holdout(connection: sqlite3.Connection) -> dict[int, bool]:
    """Return for each region ever reviewed, by its id, whether it is in the holdout."""
    rows = connection.execute("SELECT region_id, held FROM hold_out")
    return {number: bool(held) for number, held in rows}


def _regions(connection: sqlite3.Connection, query: str) -> list[_Region]:
    found = []
    for number, vertices in connection.execute(query).fetchall():
        area = outline_area(read_vertices(vertices))
        if area is not None:
            found.append(_Region(number, area, vertices))
    return found


def _with_joined_fields_training(
    present: list[_Region], in_holdout: dict[int, bool]
) -> dict[int, bool]:
    """Take regions out of the holdout that share a field with a training region."""
    regions = [region for region in present if region.number in in_holdout]
    adjusted = dict(in_holdout)
    for members, _ in merged_areas([region.area for region in regions]):
        numbers = [regions[m].number for m in members]
        held = all(in_holdout[number] for number in numbers)
        adjusted.update(dict.fromkeys(numbers, held))
    return adjusted
