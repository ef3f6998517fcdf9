"""Edits of regions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei.outlines import read_vertices
from muse_core.nuclei.store import labels
from muse_core.nuclei.store.edits import Edit
from muse_core.nuclei.store.rows import Change, Row, read_row, take_ids

Vertices = Iterable[tuple[float, float]]


def region_row(vertices: Vertices, reviewed: bool, name: str) -> Row:
    """A region as a row of its table.

    Args:
        vertices: Corners (x, y), level-0 pixels.
        reviewed: Whether all nuclei in it have been looked at.
        name: What a person calls it.

    Raises:
        UserError: It has fewer than three corners, or one is no number.
    """
    polygon = [[float(x), float(y)] for x, y in vertices]
    if len(polygon) < 3 or not np.isfinite(polygon).all():
        raise UserError("A region needs at least three finite corners.")
    return (name, json.dumps(polygon), int(reviewed))


def new_regions_edit(connection: sqlite3.Connection, rows: Sequence[Row]) -> Edit:
    """New regions."""
    first = take_ids(connection, "regions", len(rows))
    changes = tuple(Change("regions", first + i, None, row) for i, row in enumerate(rows))
    return Edit(labels.new_regions([str(row[0]) for row in rows]), changes=changes)


def changed_region_edit(
    connection: sqlite3.Connection, number: int, name: str | None, reviewed: bool | None
) -> Edit:
    """Rename a region, or change whether it is reviewed."""
    before = read_row(connection, "regions", number)
    after = (
        before[0] if name is None else name,
        before[1],
        before[2] if reviewed is None else int(reviewed),
    )
    label = labels.changed_region((before[0], before[2]), (after[0], after[2]))
    changes = (Change("regions", number, before, after),) if after != before else ()
    return Edit(label, changes=changes)


def removed_region_edit(connection: sqlite3.Connection, number: int) -> Edit:
    """Remove a region."""
    before = read_row(connection, "regions", number)
    change = Change("regions", number, before, None)
    return Edit(labels.removed_region(before[0]), changes=(change,))


def read_regions(connection: sqlite3.Connection) -> pd.DataFrame:
    """Regions: id, name, vertices (list of [x, y]), reviewed (bool)."""
    rows = connection.execute("SELECT id, name, vertices, reviewed FROM regions ORDER BY id")
    return pd.DataFrame(
        [(i, name, read_vertices(v), bool(r)) for i, name, v, r in rows],
        columns=["id", "name", "vertices", "reviewed"],
    )
