"""Which reviewed regions are held back from training, decided once and for all.

What is decided stays, whatever becomes of this or another region: a nucleus that a model has learnt
from must not come to judge it, nor the other way round. Each function runs inside the caller's
transaction.
"""

from __future__ import annotations

import json
import sqlite3

from shapely.geometry.base import BaseGeometry

from muse_core.nuclei.hold_out import field_key, is_held_back
from muse_core.nuclei.outlines import outline_area


def decide(connection: sqlite3.Connection) -> None:
    """Decide for the reviewed regions that are new, oldest first.

    One that meets others belongs to their field: it is held back if all of them are.
    """
    fates = read_fates(connection)
    fingerprint = connection.execute("SELECT fingerprint FROM slide").fetchone()[0]
    rows = connection.execute("SELECT id, vertices FROM regions WHERE reviewed ORDER BY id")
    decided: list[tuple[BaseGeometry, bool]] = []
    undecided: list[tuple[int, BaseGeometry, str]] = []
    for number, text in rows.fetchall():
        vertices = json.loads(text)
        area = outline_area(vertices)
        if area is None:
            continue
        if number in fates:
            decided.append((area, fates[number]))
        else:
            undecided.append((number, area, field_key(fingerprint, vertices)))
    for number, area, key in undecided:
        met = [held for other, held in decided if other.intersects(area)]
        held = all(met) if met else is_held_back(key, [fate for _, fate in decided])
        connection.execute("INSERT INTO hold_out VALUES (?, ?)", (number, int(held)))
        decided.append((area, held))


def read_fates(connection: sqlite3.Connection) -> dict[int, bool]:
    """Of each region that was ever reviewed, whether it is held back."""
    return {number: bool(held) for number, held in connection.execute("SELECT * FROM hold_out")}
