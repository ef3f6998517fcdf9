"""Decide which changes of an edit can still be undone or redone.

Detections replace nuclei without an edit. Undo and redo do not restore a nucleus that a detection
has replaced, nor put one where a detection has found another since. Each function runs inside the
caller's transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_core.array_types import Mask
from muse_core.neighbours import near_any
from muse_core.nuclei.store.edits import NucleusChanges
from muse_core.nuclei.store.rows import NucleusRows, nucleus_rows, rows_by_id
from muse_core.nuclei.table import ONE_PLACE_PX, Status

SAME_PLACE_PX = 1.0
"""Distance up to which a nucleus of a file replaces a prediction."""


@dataclass(frozen=True, eq=False)
class ReversibleChanges:
    """The changes of nuclei that can be made.

    Attributes:
        here: Changes of visible nuclei.
        aside: Changes of nuclei that a running detection has replaced.
        left_out: Number of changes that cannot be made.
    """

    here: NucleusChanges
    aside: NucleusChanges
    left_out: int


def reversible_changes(
    connection: sqlite3.Connection, changes: NucleusChanges, since: int
) -> ReversibleChanges:
    """Return the changes of nuclei that can be made, and how many cannot.

    Args:
        connection: In a transaction.
        changes: In the direction in which they are to be made.
        since: Number of the journal entry after which the nuclei were as in ``changes.before``.
    """
    present = nucleus_rows(connection, changes.ids)
    waiting = nucleus_rows(connection, changes.ids, "aside")
    is_here, is_waiting = (rows_by_id(rows, changes.ids)[0] for rows in (present, waiting))
    to_here, to_aside = _places_left(changes, is_here, is_waiting)
    aside = is_waiting | to_aside
    here = is_here | to_here
    kept = here.copy()
    kept[here] = ~_barred(connection, changes.take(here), present, since)
    gone_anyway = ~changes.exists & ~is_here & ~is_waiting
    return ReversibleChanges(
        changes.take(kept).starting_from(present),
        changes.take(aside).starting_from(waiting),
        len(changes) - int(kept.sum() + aside.sum() + gone_anyway.sum()),
    )


def _places_left(changes: NucleusChanges, is_here: Mask, is_waiting: Mask) -> tuple[Mask, Mask]:
    """Return the ids of nuclei that come back to places which they had left to others.

    Args:
        changes: All (n,) of them.
        is_here: (n,) which nuclei are seen now.
        is_waiting: (n,) which wait for the end of a detection.

    Returns:
        (n,) which nuclei are seen again, and (n,) which wait. Where something has replaced the
        others in turn, a nucleus stays away.
    """
    coming = ~changes.existed
    to_here, to_aside = np.zeros((2, len(coming)), dtype=bool)
    if coming.any():
        makers = changes.existed & ~changes.exists
        xy = _places(changes.after[coming])
        at_any, at_here, at_aside = (
            near_any(xy, _places(changes.before[makers & which]), SAME_PLACE_PX)
            for which in (np.ones_like(makers), is_here, is_waiting)
        )
        to_here[coming] = at_here | ~at_any
        to_aside[coming] = at_aside & ~at_here
    return to_here, to_aside


def _barred(
    connection: sqlite3.Connection, changes: NucleusChanges, present: NucleusRows, since: int
) -> Mask:
    """(n,) which nuclei would be put where another one was found or restored since."""
    barred = np.zeros(len(changes), dtype=bool)
    first, distance_px = connection.execute(
        "SELECT min(first_id), max(distance_px) FROM ingests WHERE after_seq >= ?", (since,)
    ).fetchone()
    if first is None:
        return barred
    now = changes.starting_from(present)
    stays = now.existed & (now.before["status"] != Status.DELETED)
    for name in ("x", "y"):
        stays &= now.before[name] == now.after[name]
    arriving = changes.exists & (changes.after["status"] != Status.DELETED) & ~stays
    if arriving.any():
        seen = connection.execute(
            "SELECT id, x, y FROM nuclei WHERE status != ?", (int(Status.DELETED),)
        )
        others = np.fromiter(seen, dtype=[("id", np.int64), ("x", float), ("y", float)])
        others = others[~np.isin(others["id"], changes.ids)]
        found, xy = others[others["id"] >= first], _places(changes.after[arriving])
        barred[arriving] = near_any(xy, _places(found), distance_px)
        # Where a detection was cancelled, what it had replaced came back.
        barred[arriving] |= near_any(xy, _places(others), ONE_PLACE_PX)
    return barred


def _places(rows: NucleusRows) -> npt.NDArray[np.float64]:
    """(N, 2) positions of rows, level-0 pixels."""
    return np.stack([rows["x"], rows["y"]], axis=1)
