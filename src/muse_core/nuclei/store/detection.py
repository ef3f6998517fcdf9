"""A detection in progress: what it replaces waits aside, so that a crash loses nothing.

Each function runs inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from muse_core.errors import UserError
from muse_core.nuclei.outlines import inside_any, outline_area, read_vertices
from muse_core.nuclei.store.ingest import insert_rows, remove, set_aside
from muse_core.nuclei.store.rows import NucleusRows, nucleus_rows
from muse_core.nuclei.table import STATUSES

ENDINGS = ("done", "cancelled", "failed")
_PREDICTED = STATUSES.index("predicted")


def begin(
    connection: sqlite3.Connection, replaced: npt.NDArray[np.int64], distance_px: float
) -> None:
    """Take the predictions that a detection replaces out of sight.

    What could be redone is forgotten: it may speak of nuclei that are about to be replaced.
    """
    if in_progress(connection):
        raise UserError("A detection on this slide is in progress already.")
    first = connection.execute("SELECT value FROM next_id WHERE name = 'nuclei'").fetchone()[0]
    connection.execute("INSERT INTO detection VALUES (?, ?)", (first, distance_px))
    connection.execute("DELETE FROM undo_stack WHERE position > (SELECT depth FROM undo_depth)")
    set_aside(connection, replaced)


def in_progress(connection: sqlite3.Connection) -> bool:
    """Whether a detection was begun and not ended."""
    return connection.execute("SELECT 1 FROM detection").fetchone() is not None


def end(connection: sqlite3.Connection, how: str) -> None:
    """Settle a detection.

    Done, what waited aside is dropped. Cancelled, it comes back wherever nothing new was found.
    Failed, what was found goes, but for what a person has corrected meanwhile, and all comes back.
    Fields that a person has reviewed meanwhile stay as they are.
    """
    if how not in ENDINGS:
        raise ValueError(f"A detection ends in one of {ENDINGS}, not {how!r}.")
    begun = connection.execute("SELECT first_id, distance_px FROM detection").fetchone()
    if begun is None:
        return
    first, distance_px = begun
    reviewed = reviewed_areas(connection)
    if how == "failed":
        rows = nucleus_rows(connection)
        found = rows[(rows["id"] >= first) & (rows["status"] == _PREDICTED)]
        remove(connection, found["id"][~inside_any(reviewed, found["x"], found["y"])])
    if how != "done":
        old = nucleus_rows(connection, table="aside")
        old = old[~inside_any(reviewed, old["x"], old["y"])]
        rows = nucleus_rows(connection)
        back = old[_far(old, rows[rows["id"] >= first], distance_px)]
        # An undo may have brought one back already.
        insert_rows(connection, back[~np.isin(back["id"], rows["id"])])
    for table in ("aside", "detection"):
        connection.execute(f"DELETE FROM {table}")


def reviewed_areas(connection: sqlite3.Connection) -> tuple[BaseGeometry, ...]:
    """Areas of the regions in which a person has looked at every nucleus, level-0 pixels."""
    rows = connection.execute("SELECT vertices FROM regions WHERE reviewed ORDER BY id")
    areas = (outline_area(read_vertices(vertices)) for (vertices,) in rows)
    return tuple(area for area in areas if area is not None)


def _far(rows: NucleusRows, others: NucleusRows, distance_px: float) -> npt.NDArray[np.bool_]:
    """(N,) which rows have none of the others within a distance."""
    if not len(rows) or not len(others):
        return np.ones(len(rows), dtype=bool)
    tree = cKDTree(np.stack([others["x"], others["y"]], axis=1))
    distance, _ = tree.query(np.stack([rows["x"], rows["y"]], axis=1))
    return np.asarray(distance > distance_px)
