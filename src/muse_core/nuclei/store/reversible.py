"""Which changes of an edit can still be taken back or made again.

Detections replace nuclei without an edit. A nucleus that one has replaced does not come back, and
none comes to where one has found another since. Each function runs inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from muse_core.neighbours import near_any
from muse_core.nuclei.store.edits import Change, Row
from muse_core.nuclei.store.rows import whole_rows
from muse_core.nuclei.table import Status

SAME_PLACE_PX = 1.0
"""Up to this distance a nucleus of a file takes the place of a prediction."""
_STATUS_AT = 4


@dataclass(frozen=True)
class ReversibleChanges:
    """Changes of nuclei that can be made.

    Attributes:
        here: Of nuclei that are seen.
        aside: Of those that wait for the end of a detection.
        left_out: How many others there are.
    """

    here: tuple[Change, ...]
    aside: tuple[Change, ...]
    left_out: int


def reversible_changes(
    connection: sqlite3.Connection, changes: Sequence[Change], since: int
) -> ReversibleChanges:
    """Return the changes of nuclei that can be made, and how many cannot.

    Args:
        connection: In a transaction.
        changes: Of nuclei, in the direction in which they are to be made.
        since: Journal entry at which all nuclei were as the changes find them.
    """
    ids = [change.id for change in changes]
    present = whole_rows(connection, ids)
    waiting = whole_rows(connection, ids, "aside")
    makers = [c for c in changes if c.after is None and c.before is not None]
    to_here, to_aside = _places_left(
        [c for c in changes if c.before is None],
        [c for c in makers if c.id in present],
        [c for c in makers if c.id in waiting],
        makers,
    )
    aside = [c for c in changes if c.id in waiting or c.id in to_aside]
    here = [c for c in changes if c.id in present or c.id in to_here]
    barred = _barred(connection, here, present, since)
    kept = [c for c in here if c.id not in barred]
    gone_anyway = sum(
        c.after is None and c.id not in present and c.id not in waiting for c in changes
    )
    return ReversibleChanges(
        tuple(_from(present.get(c.id), c) for c in kept),
        tuple(_from(waiting.get(c.id), c) for c in aside),
        len(changes) - len(kept) - len(aside) - gone_anyway,
    )


def _from(now: Row | None, change: Change) -> Change:
    """The change from what a nucleus is, which an earlier step may have left as it was."""
    width = None if change.after is None else len(change.after)
    return replace(change, before=None if now is None else now[:width])


def _places_left(
    coming: Sequence[Change],
    makers_here: Sequence[Change],
    makers_aside: Sequence[Change],
    makers: Sequence[Change],
) -> tuple[set[int], set[int]]:
    """Where nuclei go that come back to places they had left to others.

    Args:
        coming: The nuclei that come back.
        makers_here: Those of the others that still are seen.
        makers_aside: Those that wait for the end of a detection.
        makers: All of them.

    Returns:
        Ids of the nuclei that are seen again, and of those that wait. Where something has replaced
        the others in turn, a nucleus stays away.
    """
    if not coming:
        return set(), set()
    xy = _places([c.after for c in coming])
    ids = np.array([c.id for c in coming])
    to_any, to_here, to_aside = (
        near_any(xy, _places([c.before for c in others]), SAME_PLACE_PX)
        for others in (makers, makers_here, makers_aside)
    )
    return set(ids[to_here | ~to_any].tolist()), set(ids[to_aside & ~to_here].tolist())


def _barred(
    connection: sqlite3.Connection,
    changes: Sequence[Change],
    present: Mapping[int, Row],
    since: int,
) -> set[int]:
    """Ids of the nuclei that would come to where one was found since."""
    first, distance_px = connection.execute(
        "SELECT min(first_id), max(distance_px) FROM ingests WHERE after_seq >= ?", (since,)
    ).fetchone()
    if first is None:
        return set()
    now = {number: row[:2] for number, row in present.items() if row[_STATUS_AT] != Status.DELETED}
    arriving = [
        c
        for c in changes
        if c.after is not None
        and c.after[_STATUS_AT] != Status.DELETED
        and now.get(c.id) != c.after[:2]
    ]
    if not arriving:
        return set()
    own = {change.id for change in changes}
    found = connection.execute(
        "SELECT id, x, y FROM nuclei WHERE id >= ? AND status != ?", (first, Status.DELETED)
    )
    others = np.array([row[1:] for row in found if row[0] not in own], dtype=np.float64)
    near = near_any(_places([c.after for c in arriving]), others.reshape(-1, 2), distance_px)
    return {change.id for change, no in zip(arriving, near.tolist(), strict=True) if no}


def _places(rows: Sequence[Row | None]) -> npt.NDArray[np.float64]:
    """(N, 2) positions of rows, level-0 pixels."""
    return np.array([row[:2] for row in rows if row is not None], dtype=np.float64).reshape(-1, 2)
