"""Edits of nuclei: rules that change many rows at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from numpy.lib import recfunctions

from muse_core.errors import UserError
from muse_core.nuclei.store import labels
from muse_core.nuclei.store.edits import Edit, NucleusChanges
from muse_core.nuclei.store.ingest import model_number, new_rows
from muse_core.nuclei.store.predictions import Predictions
from muse_core.nuclei.store.reading import shown_rows
from muse_core.nuclei.store.rows import EDITED, STORED_ROW, NucleusRows, require_nuclei
from muse_core.nuclei.table import Status, float_values

_A_PERSON = ""
"""Model name of a nucleus that a person has added."""
Ids = Sequence[int] | npt.NDArray[np.int64]


def finite_places(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(N, 2) x and y of nuclei; raises UserError where one is no number."""
    xs, ys = (np.atleast_1d(float_values(values)) for values in (x, y))
    if len(xs) != len(ys):
        raise UserError("Each nucleus needs an x and a y.")
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        raise UserError("A nucleus needs finite coordinates.")
    return np.stack([xs, ys], axis=1)


def new_nuclei_edit(
    connection: sqlite3.Connection,
    xy: npt.NDArray[np.float64],
    class_ids: npt.NDArray[np.int32],
    class_name: str,
) -> Edit:
    """The edit that adds nuclei.

    Args:
        connection: In a transaction.
        xy: (N, 2) level-0 pixels.
        class_ids: (N,) ids of classes.
        class_name: Class in the label of the edit, "" for several.
    """
    rows = new_rows(connection, len(xy))
    rows["x"], rows["y"] = xy.T
    rows["class_id"], rows["score"] = class_ids, 1.0
    rows["status"], rows["model_id"] = Status.ADDED, model_number(connection, _A_PERSON)
    return Edit(labels.new_nuclei(len(rows), class_name), NucleusChanges.coming(rows))


def changed_nuclei_edit(
    connection: sqlite3.Connection,
    ids: npt.NDArray[np.int64],
    live: Predictions | None,
    change: Callable[[NucleusRows], None],
    what: str,
    class_name: str = "",
) -> Edit:
    """The edit that applies a rule to nuclei; nuclei that it does not change are left out.

    Args:
        connection: In a transaction.
        ids: (n,) of the nuclei.
        live: Live predictions, because a person judges the classes that are shown.
        change: The rule; changes rows of NUCLEUS_ROW, by ascending id, in place.
        what: Label of the edit.
        class_name: Class in the label.

    Raises:
        UserError: One of the nuclei does not exist any more.
    """
    stored = require_nuclei(connection, ids)
    seen = shown_rows(stored, live)
    rows = seen.copy()
    change(rows)
    differs = np.zeros(len(rows), dtype=bool)
    for name in EDITED:
        differs |= rows[name] != seen[name]
    after = recfunctions.repack_fields(rows[differs][list(STORED_ROW.names or ())])
    changes = NucleusChanges.to(stored[differs], after)
    return Edit(labels.of_nuclei(what, len(changes), class_name), changes)


def give_class(rows: NucleusRows, class_id: int) -> None:
    """Give nuclei a class; those that had it already count as confirmed."""
    agreed = (rows["class_id"] == class_id) & (rows["status"] != Status.CORRECTED)
    judged = np.where(agreed, Status.CONFIRMED, Status.CORRECTED)
    rows["status"] = np.where(rows["status"] == Status.ADDED, Status.ADDED, judged)
    rows["class_id"] = class_id


def confirm(rows: NucleusRows) -> None:
    """Confirm predictions; nuclei that a person has changed keep their status."""
    rows["status"][rows["status"] == Status.PREDICTED] = Status.CONFIRMED


def delete(rows: NucleusRows) -> None:
    """Mark nuclei as deleted."""
    rows["status"] = Status.DELETED


def move(rows: NucleusRows, ids: Ids, xy: npt.NDArray[np.float64]) -> None:
    """Move nuclei, which counts as a correction.

    Args:
        rows: Of all the ids, each once.
        ids: (n,); where one is there twice, its last place counts.
        xy: (n, 2) level-0 pixels.
    """
    unique, last = np.unique(np.asarray(ids, dtype=np.int64)[::-1], return_index=True)
    rows["x"], rows["y"] = xy[::-1][last[np.searchsorted(unique, rows["id"])]].T
    rows["status"][rows["status"] != Status.ADDED] = Status.CORRECTED
