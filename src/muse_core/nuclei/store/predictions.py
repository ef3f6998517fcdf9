"""Classes that a classifier gives many nuclei at once, in arrays beside the nuclei's rows.

A revision holds the ids of nuclei, with a class and a probability for each. At most one revision is
live: its class is the class of every nucleus that no person has touched, without being written to
the nucleus' row. Switching to another revision changes a single row, however many nuclei it has, so
that undo and redo are fast. Revisions share equal arrays, such as the ids or, after a merge of
classes, all but the class numbers.

Each function runs inside the caller's transaction or, where it only reads, outside of one.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.nuclei.store.rows import Change, NucleusRows, take_ids
from muse_core.nuclei.table import Status

PredictionArrays = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float16]]
"""Ids of nuclei, ascending, ids of their classes, and probabilities; (N,) each."""
_LIVE = 1
"""Id of the only row in the table that names the live revision."""
_MOST_NUCLEI = 1 << 27
_MOST_CLASSES = 1 << 16


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of a classifier for N nuclei.

    Attributes:
        revision: Number of the revision, never used again.
        model: Name of the classifier.
        ids: (N,) int64, ascending; some of the nuclei may not exist any more.
        class_ids: (N,) int32, ids of classes.
        probabilities: (N,) float16, of the class, 0 to 1.
    """

    revision: int
    model: str
    ids: npt.NDArray[np.int64]
    class_ids: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float16]

    def find(
        self, ids: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
        """Look nuclei up: (n,) bool, which are known, and (n,) their indices, else arbitrary."""
        if len(ids) == len(self.ids) and (ids == self.ids).all():
            return np.ones(len(ids), dtype=bool), np.arange(len(ids))
        if not len(self.ids):
            return np.zeros(len(ids), dtype=bool), np.zeros(len(ids), dtype=np.intp)
        at = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
        return self.ids[at] == ids, at

    def relabel(self, rows: NucleusRows) -> None:
        """Give (n,) rows of NUCLEUS_ROW these classes, but for those a person has touched."""
        found, at = self.find(rows["id"])
        found &= rows["status"] == Status.PREDICTED
        at = at[found]
        rows["class_id"][found] = self.class_ids[at]
        rows["probability"][found] = self.probabilities[at]


def add_revision(
    connection: sqlite3.Connection,
    ids: npt.NDArray[np.int64],
    class_ids: npt.NDArray[np.int32],
    probabilities: npt.NDArray[np.float16],
    model: str,
) -> int:
    """Store a revision without making it live; returns its number.

    Args:
        connection: In a transaction.
        ids: (N,) ascending.
        class_ids: (N,) of classes that the store has.
        probabilities: (N,) 0 to 1.
        model: Name of the classifier.
    """
    palette, index = _indexed(class_ids)
    arrays = (
        _keep_array(connection, np.diff(ids, prepend=np.int64(0))),
        _keep_array(connection, index.astype(np.uint8 if len(palette) <= 256 else np.uint16)),
        _keep_array(connection, probabilities.astype("<f2").view(np.uint16)),
    )
    number = take_ids(connection, "predictions", 1)
    connection.execute(
        "INSERT INTO predictions VALUES (?, 0, ?, ?, ?, ?, ?, ?)",
        (number, model, len(ids), json.dumps(palette.tolist()), *arrays),
    )
    return number


def live_revision(connection: sqlite3.Connection) -> int | None:
    """Number of the revision that is live, None where none is."""
    row = connection.execute("SELECT revision FROM live_predictions").fetchone()
    return None if row is None else int(row[0])


def live_classes(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Ids of the classes that the live revision gives nuclei."""
    row = connection.execute(
        "SELECT classes FROM predictions JOIN live_predictions USING (revision)"
    ).fetchone()
    return () if row is None else tuple(_standing(connection, row[0]).tolist())


def read_revision(connection: sqlite3.Connection, number: int) -> Predictions:
    """A revision by its number.

    Raises:
        UserError: It is not there, or damaged.
    """
    row = connection.execute(
        "SELECT model, count, classes, nuclei, class_index, probability FROM predictions"
        " WHERE revision = ?",
        (number,),
    ).fetchone()
    if row is None or not 0 <= row[1] <= _MOST_NUCLEI:
        raise _damaged()
    model, count, classes, *arrays = row
    palette = _standing(connection, classes)
    index_type = np.uint8 if len(palette) <= 256 else np.uint16
    steps, index, bits = (
        _read_array(connection, array, count, dtype)
        for array, dtype in zip(arrays, (np.int64, index_type, np.uint16), strict=True)
    )
    if (steps[1:] <= 0).any() or (count and int(index.max()) >= len(palette)):
        raise _damaged()
    probabilities = bits.view("<f2").astype(np.float16)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise _damaged()
    return Predictions(number, str(model), np.cumsum(steps), palette[index], probabilities)


def merge_class(connection: sqlite3.Connection, gone: int, into: int) -> int | None:
    """Store a copy of the live revision in which one class is replaced; returns its number.

    Returns:
        None if the live revision does not have the class, or none is live.
    """
    if gone not in live_classes(connection):
        return None
    row = connection.execute(
        "SELECT model, count, classes, nuclei, class_index, probability FROM predictions"
        " JOIN live_predictions USING (revision)"
    ).fetchone()
    palette = _standing(connection, row[2])
    palette[palette == gone] = into
    number = take_ids(connection, "predictions", 1)
    connection.execute(
        "INSERT INTO predictions VALUES (?, 0, ?, ?, ?, ?, ?, ?)",
        (number, row[0], row[1], json.dumps(palette.tolist()), *row[3:]),
    )
    return number


def relabelling(
    connection: sqlite3.Connection, before: Predictions | None, after: Predictions | None
) -> Predictions | None:
    """Return how nuclei are shown after a change of the live predictions.

    Returns:
        The new live predictions, joined with the rows' own classes (probability NaN) of nuclei that
        only the former ones had; None if there were and are none.
    """
    if before is None or (after is not None and np.array_equal(before.ids, after.ids)):
        return after
    left = before.ids if after is None else np.setdiff1d(before.ids, after.ids, True)
    query = f"SELECT id, class_id FROM nuclei WHERE status = {Status.PREDICTED:d} ORDER BY id"
    rows = np.fromiter(connection.execute(query), dtype=[("id", np.int64), ("class_id", np.int32)])
    rows = rows[np.isin(rows["id"], left, assume_unique=True)]
    unknown = np.full(len(rows), np.nan, dtype=np.float16)
    found = Predictions(0, "", rows["id"].copy(), rows["class_id"].copy(), unknown)
    return found if after is None else _joined(found, after)


def carried_on(before: Predictions | None, after: PredictionArrays) -> PredictionArrays:
    """New predictions, completed with the former ones for nuclei they do not have."""
    if before is None or np.array_equal(before.ids, after[0]):
        return after
    left = ~np.isin(before.ids, after[0], assume_unique=True)
    if not left.any():
        return after
    some = replace(
        before,
        ids=before.ids[left],
        class_ids=before.class_ids[left],
        probabilities=before.probabilities[left],
    )
    joined = _joined(some, Predictions(0, "", *after))
    return joined.ids, joined.class_ids, joined.probabilities


def _joined(some: Predictions, others: Predictions) -> Predictions:
    """Join predictions of different nuclei; revision and model are the second's."""
    ids = np.concatenate([some.ids, others.ids])
    order = np.argsort(ids, kind="stable")
    classes = np.concatenate([some.class_ids, others.class_ids])[order]
    chances = np.concatenate([some.probabilities, others.probabilities])[order]
    return Predictions(others.revision, others.model, ids[order], classes, chances)


def going_live(connection: sqlite3.Connection, number: int | None) -> Change:
    """The change by which a revision, or none, takes the place of the one that is live."""
    now = live_revision(connection)
    return Change(
        "live_predictions",
        _LIVE,
        None if now is None else (now,),
        None if number is None else (number,),
    )


def checked_predictions(
    ids: npt.ArrayLike,
    class_ids: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    known: Sequence[int],
) -> PredictionArrays:
    """Predictions as arrays by ascending ids.

    Raises:
        UserError: Lengths differ, an id is there twice, a class is not among those known, or a
            probability is not between 0 and 1.
    """
    numbers, classes = np.asarray(ids), np.asarray(class_ids)
    chances = np.asarray(probabilities, dtype=np.float64)
    if not (numbers.shape == classes.shape == chances.shape == (numbers.size,)):
        raise UserError("Predictions need one class and one probability for each nucleus.")
    if numbers.size > _MOST_NUCLEI:
        raise UserError(f"These are predictions of more than {_MOST_NUCLEI:,} nuclei.")
    if not numbers.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float16)
    if numbers.dtype.kind not in "iu" or classes.dtype.kind not in "iu":
        raise UserError("Nuclei and classes of predictions are given by their ids.")
    if not ((chances >= 0) & (chances <= 1)).all():
        raise UserError("A probability must be between 0 and 1.")
    if not np.isin(classes, np.asarray(known)).all():
        raise UserError("The store has not all the classes of these predictions.")
    if (np.diff(numbers) <= 0).any():
        order = np.argsort(numbers, kind="stable")
        numbers, classes, chances = numbers[order], classes[order], chances[order]
    if numbers[0] < 0 or (np.diff(numbers) <= 0).any():
        raise UserError("Predictions need each nucleus once.")
    return numbers.astype(np.int64), classes.astype(np.int32), chances.astype(np.float16)


def forget_unreachable(connection: sqlite3.Connection, made: int | None, seq: int) -> None:
    """Delete the revisions that neither undo nor redo can reach.

    Args:
        connection: In a transaction.
        made: The revision that the latest edit made live.
        seq: That edit's entry in the journal.
    """
    connection.execute("UPDATE predictions SET seq = ? WHERE revision = ?", (seq, made))
    connection.execute("DELETE FROM predictions WHERE seq NOT IN (SELECT seq FROM undo_stack)")
    connection.execute(
        "DELETE FROM prediction_arrays WHERE id NOT IN (SELECT nuclei FROM predictions"
        " UNION SELECT class_index FROM predictions UNION SELECT probability FROM predictions)"
    )


def _indexed(
    class_ids: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """The different classes, ascending, and (N,) the place of each nucleus' among them."""
    # Sorting a million numbers to find a handful would take longer than all else.
    counts = np.bincount(class_ids)
    palette = np.flatnonzero(counts)
    if len(palette) > _MOST_CLASSES:
        raise UserError(f"A classifier can tell at most {_MOST_CLASSES:,} classes.")
    places = np.zeros(len(counts), dtype=np.intp)
    places[palette] = np.arange(len(palette))
    return palette, places[class_ids]


def _standing(connection: sqlite3.Connection, classes: str) -> npt.NDArray[np.int32]:
    """Parse a list of class ids; removed classes are replaced by those that stand for them."""
    stand_ins = dict(connection.execute("SELECT id, stands_for FROM class_alias").fetchall())
    try:
        numbers = [int(number) for number in json.loads(classes)]
        return np.array([stand_ins.get(n, n) for n in numbers], dtype=np.int32)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _damaged() from error


def _keep_array(connection: sqlite3.Connection, array: npt.NDArray[Any]) -> int:
    """Keep an array of whole numbers, once; returns its id."""
    planes = array.astype(array.dtype.newbyteorder("<"), copy=False).view(np.uint8)
    # Byte shuffling, which puts similar bytes side by side and compresses better.
    raw = np.ascontiguousarray(planes.reshape(-1, array.itemsize).T).tobytes()
    digest = hashlib.sha256(raw).hexdigest()
    connection.execute(
        "INSERT INTO prediction_arrays(digest, data) SELECT ?, ?"
        " WHERE NOT EXISTS (SELECT 1 FROM prediction_arrays WHERE digest = ?)",
        (digest, zlib.compress(raw, level=1), digest),
    )
    found = connection.execute("SELECT id FROM prediction_arrays WHERE digest = ?", (digest,))
    return int(found.fetchone()[0])


def _read_array(connection: sqlite3.Connection, number: int, count: int, dtype: Any) -> Any:
    """(count,) an array that was kept."""
    row = connection.execute(
        "SELECT data FROM prediction_arrays WHERE id = ?", (number,)
    ).fetchone()
    kind = np.dtype(dtype).newbyteorder("<")
    try:
        stream = zlib.decompressobj()
        raw = stream.decompress(row[0], max(count * kind.itemsize, 1))
    except (zlib.error, TypeError) as error:
        raise _damaged() from error
    if len(raw) != count * kind.itemsize or stream.unconsumed_tail:
        raise _damaged()
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(kind.itemsize, count)
    return np.ascontiguousarray(planes.T).view(kind).reshape(count).astype(dtype)


def _damaged() -> UserError:
    return UserError("The predictions of this annotation store are damaged.")
