"""Write nuclei to the tables: those of detections and files, and the results of edits.

Each function runs inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei.scheme import NucleusClass
from muse_core.nuclei.store.edits import NucleusChanges
from muse_core.nuclei.store.rows import (
    EDITED,
    STORED_ROW,
    UNCERTAINTY,
    NucleusRows,
    nucleus_rows,
    take_ids,
)
from muse_core.nuclei.store.spatial_index import ensure_squares
from muse_core.nuclei.table import Status

Uncertainty = Mapping[str, npt.ArrayLike]
_STATUS = {status.word: int(status) for status in Status}


def rows_of_table(
    connection: sqlite3.Connection,
    table: pd.DataFrame,
    new_classes: Mapping[str, int] | None = None,
) -> NucleusRows:
    """A NucleusTable as (N,) of STORED_ROW under new ids, not inserted yet.

    Args:
        connection: In a transaction.
        table: A valid NucleusTable of classes the store has, or of new ones.
        new_classes: Ids of the new ones by name.

    Raises:
        UserError: The store lacks a class.
    """
    rows = new_rows(connection, len(table))
    for name in ("x", "y", "score"):
        rows[name] = table[name]
    rows["class_id"] = class_numbers(connection, table["class_name"], new_classes)
    rows["status"] = _numbers(table["status"], _STATUS)
    rows["model_id"] = model_numbers(connection, table["model"])
    return rows


def new_rows(connection: sqlite3.Connection, count: int) -> NucleusRows:
    """(count,) of STORED_ROW with new ids and without uncertainty, not inserted yet."""
    rows = np.zeros(count, dtype=STORED_ROW)
    first = take_ids(connection, "nuclei", count)
    rows["id"] = np.arange(first, first + count)
    for name in UNCERTAINTY:
        rows[name] = np.nan
    return rows


def note_ingest(connection: sqlite3.Connection, distance_px: float) -> None:
    """Record that nuclei are about to be added without an edit, and clear the redo stack.

    Edits that could be redone may refer to nuclei that are replaced, or to places of new ones.

    Args:
        connection: In a transaction.
        distance_px: Distance up to which a new and an existing nucleus are the same.
    """
    connection.execute("DELETE FROM undo_stack WHERE position > (SELECT depth FROM undo_depth)")
    connection.execute(
        "INSERT INTO ingests SELECT coalesce(max(seq), 0),"
        " (SELECT value FROM next_id WHERE name = 'nuclei'), ? FROM journal WHERE true"
        " ON CONFLICT(after_seq) DO UPDATE SET"
        " distance_px = max(distance_px, excluded.distance_px)",
        (distance_px,),
    )


def insert_rows(connection: sqlite3.Connection, rows: NucleusRows, table: str = "nuclei") -> None:
    """Insert rows as they are."""
    names = STORED_ROW.names or ()
    # SQLite keeps NaN as NULL, which reads as NaN again.
    connection.executemany(
        f"INSERT INTO {table}({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        zip(*(rows[name].tolist() for name in names), strict=True),
    )
    if table == "nuclei":
        ensure_squares(connection, rows["x"], rows["y"])


def write_changes(
    connection: sqlite3.Connection, changes: NucleusChanges, table: str = "nuclei"
) -> None:
    """Bring nuclei to what they are after changes, of which each has at most one."""
    remove(connection, changes.ids[changes.existed & ~changes.exists], table)
    insert_rows(connection, changes.after[~changes.existed & changes.exists], table)
    stay = changes.existed & changes.exists
    before, after = changes.before[stay], changes.after[stay]
    # What does not differ need not be written, which with all columns takes twice as long.
    names = [name for name in EDITED if (before[name] != after[name]).any()]
    if not names:
        return
    connection.executemany(
        f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ?",
        zip(*(after[name].tolist() for name in (*names, "id")), strict=True),
    )
    if table == "nuclei" and {"x", "y"} & set(names):
        ensure_squares(connection, after["x"], after["y"])


def set_uncertainty(
    connection: sqlite3.Connection, ids: npt.NDArray[np.int64], uncertainty: Uncertainty
) -> None:
    """Keep how unsure a model is of nuclei, by the names of UNCERTAINTY."""
    names = [name for name in UNCERTAINTY if name in uncertainty]
    columns = [np.asarray(uncertainty[name], dtype=np.float64).tolist() for name in names]
    connection.executemany(
        f"UPDATE nuclei SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ?",
        zip(*columns, ids.tolist(), strict=True),
    )


def insert_classes(connection: sqlite3.Connection, classes: Sequence[NucleusClass]) -> None:
    """Put classes after those that are there."""
    first = take_ids(connection, "classes", len(classes))
    connection.executemany(
        "INSERT INTO classes VALUES (?, ?, ?, ?, ?)",
        [(first + i, c.name, c.color, c.key, first + i) for i, c in enumerate(classes)],
    )


def remove(
    connection: sqlite3.Connection, ids: npt.NDArray[np.int64], table: str = "nuclei"
) -> None:
    """Drop nuclei for good."""
    connection.executemany(f"DELETE FROM {table} WHERE id = ?", [(i,) for i in ids.tolist()])


def set_aside(connection: sqlite3.Connection, ids: npt.NDArray[np.int64]) -> None:
    """Move nuclei to where they wait for the end of a detection."""
    insert_rows(connection, nucleus_rows(connection, ids), "aside")
    remove(connection, ids)


def model_number(connection: sqlite3.Connection, name: str) -> int:
    """Id of a model, which is made where it is new."""
    return int(model_numbers(connection, pd.Series([name]))[0])


def model_numbers(connection: sqlite3.Connection, names: pd.Series) -> npt.NDArray[np.int32]:
    """(N,) ids of models, which are made where they are new."""
    connection.executemany(
        "INSERT OR IGNORE INTO models(name) VALUES (?)", [(name,) for name in names.unique()]
    )
    return _numbers(names, dict(connection.execute("SELECT name, id FROM models").fetchall()))


def class_numbers(
    connection: sqlite3.Connection, names: pd.Series, new: Mapping[str, int] | None = None
) -> npt.NDArray[np.int32]:
    """(N,) ids of classes, those that are there and new ones; raises UserError for others."""
    known = dict(connection.execute("SELECT name, id FROM classes").fetchall()) | dict(new or {})
    unknown = sorted(set(names.unique()) - set(known))
    if unknown:
        raise UserError(f"The store has no class {unknown[0]!r}; add it or map it to another.")
    return _numbers(names, known)


def _numbers(names: pd.Series, known: Mapping[str, int]) -> npt.NDArray[np.int32]:
    """(N,) numbers of names; each different name is looked up once."""
    codes, unique = pd.factorize(names)
    numbers = np.array([known[name] for name in unique], dtype=np.int32)
    return np.asarray(numbers[codes])
