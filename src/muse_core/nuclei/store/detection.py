"""A detection in progress: the nuclei it replaces are kept in a second table until it ends.

Each function runs inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from muse_core.errors import UserError
from muse_core.neighbours import near_any
from muse_core.nuclei.outlines import inside_any, outline_area, read_vertices
from muse_core.nuclei.store.ingest import insert_rows, note_ingest, remove, set_aside
from muse_core.nuclei.store.rows import NucleusRows, nucleus_rows, take_ids
from muse_core.nuclei.table import ONE_PLACE_PX, Status

ENDINGS = ("done", "cancelled", "failed")


def begin(
    connection: sqlite3.Connection, replaced: npt.NDArray[np.int64], distance_px: float
) -> None:
    """Take the predictions that a detection replaces out of sight."""
    if in_progress(connection):
        raise UserError("A detection on this slide is in progress already.")
    first = connection.execute("SELECT value FROM next_id WHERE name = 'nuclei'").fetchone()[0]
    connection.execute("INSERT INTO detection VALUES (?, ?)", (first, distance_px))
    note_ingest(connection, distance_px)
    take_ids(connection, "detections", 1)
    set_aside(connection, replaced)


def under_way(connection: sqlite3.Connection) -> tuple[int, float] | None:
    """The detection in progress; None without one.

    Returns:
        The lowest id of nuclei added since it began, and the distance in level-0 pixels up to which
        it takes two nuclei as the same.
    """
    found = connection.execute("SELECT first_id, distance_px FROM detection").fetchone()
    return None if found is None else (int(found[0]), float(found[1]))


def in_progress(connection: sqlite3.Connection) -> bool:
    """Whether a detection was begun and not ended."""
    return under_way(connection) is not None


def end(connection: sqlite3.Connection, how: str) -> None:
    """End a detection.

    If it is done, the nuclei it replaced are dropped. If it was cancelled, they are restored where
    nothing new was found. If it failed, the new ones are removed, except those that a person has
    corrected meanwhile, and all old ones are restored. Fields that were reviewed meanwhile stay as
    they are.
    """
    if how not in ENDINGS:
        raise ValueError(f"A detection ends in one of {ENDINGS}, not {how!r}.")
    begun = under_way(connection)
    if begun is None:
        return
    first, distance_px = begun
    note_ingest(connection, distance_px)
    take_ids(connection, "detections", 1)
    reviewed = reviewed_areas(connection)
    if how == "failed":
        rows = nucleus_rows(connection)
        found = rows[(rows["id"] >= first) & (rows["status"] == Status.PREDICTED)]
        remove(connection, found["id"][~inside_any(reviewed, found["x"], found["y"])])
    if how != "done":
        old = nucleus_rows(connection, table="aside")
        old = old[~inside_any(reviewed, old["x"], old["y"])]
        rows = nucleus_rows(connection)
        there = rows[(rows["id"] < first) & (rows["status"] != Status.DELETED)]
        # Meanwhile a person may have moved an older nucleus to where a replaced one was.
        free = _far(old, rows[rows["id"] >= first], distance_px) & _far(old, there, ONE_PLACE_PX)
        # An undo may have brought a replaced one back already.
        insert_rows(connection, old[free & ~np.isin(old["id"], rows["id"])])
    for table in ("aside", "detection"):
        connection.execute(f"DELETE FROM {table}")


def reviewed_areas(connection: sqlite3.Connection) -> tuple[BaseGeometry, ...]:
    """Areas of the regions in which a person has looked at every nucleus, level-0 pixels."""
    rows = connection.execute("SELECT vertices FROM regions WHERE reviewed ORDER BY id")
    areas = (outline_area(read_vertices(vertices)) for (vertices,) in rows)
    return tuple(area for area in areas if area is not None)


def _far(rows: NucleusRows, others: NucleusRows, distance_px: float) -> npt.NDArray[np.bool_]:
    """(N,) which rows have none of the others within a distance."""
    xy, others_xy = (np.stack([r["x"], r["y"]], axis=1) for r in (rows, others))
    return ~near_any(xy, others_xy, distance_px)
