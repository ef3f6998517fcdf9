"""Reading and writing rows of a store, inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError

Row = tuple[Any, ...]
NucleusRows = npt.NDArray[Any]

EDITED = ("x", "y", "class_id", "score", "status", "model_id")
"""Columns of nuclei that edits change."""
UNCERTAINTY = ("entropy", "margin", "disagreement")
"""Columns of nuclei for the uncertainty of the model; NaN where it is unknown."""
STORED_ROW = np.dtype(
    [
        ("id", np.int64),
        ("x", np.float64),
        ("y", np.float64),
        ("class_id", np.int32),
        ("score", np.float32),
        ("status", np.uint8),
        ("model_id", np.int32),
        *((name, np.float32) for name in UNCERTAINTY),
    ]
)
"""A nucleus as stored; classes and models by their ids in the store."""
NUCLEUS_ROW = np.dtype([*STORED_ROW.descr, ("probability", np.float32)])
"""A nucleus as shown: with the class of the live predictions and its probability, which is NaN if
they do not have the nucleus or a person has decided on it."""
COLUMNS = {
    "regions": ("name", "vertices", "reviewed"),
    "classes": ("name", "color", "key", "position"),
    "live_predictions": ("revision",),
}
"""Small tables that edits touch, with their columns beside ``id``."""

# SQLite's limit of values in a statement is far above this.
_AT_ONCE = 500
_LEAST_ID, _LARGEST_ID = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True)
class Change:
    """A row of a small table; before and after in the order of :data:`COLUMNS`, None for no row."""

    table: str
    id: int
    before: Row | None
    after: Row | None


def take_ids(connection: sqlite3.Connection, table: str, count: int) -> int:
    """First of ``count`` new ids. Ids are never reused, because the journal refers to them."""
    first = connection.execute("SELECT value FROM next_id WHERE name = ?", (table,)).fetchone()[0]
    connection.execute("UPDATE next_id SET value = ? WHERE name = ?", (first + count, table))
    return int(first)


def read_row(connection: sqlite3.Connection, table: str, number: int) -> Row:
    """Return a row of a small table in the order of COLUMNS; raises UserError without it."""
    query = f"SELECT {', '.join(COLUMNS[table])} FROM {table} WHERE id = ?"
    row: Row | None = connection.execute(query, (number,)).fetchone()
    if row is None:
        raise UserError(f"There is no {number} among the {table} any more.")
    return row


def nucleus_rows(
    connection: sqlite3.Connection,
    ids: npt.NDArray[np.int64] | None = None,
    table: str = "nuclei",
) -> NucleusRows:
    """Nuclei as (n,) of STORED_ROW by id; those of ``ids`` that are not there are left out."""
    select = f"SELECT {', '.join(STORED_ROW.names or ())} FROM {table}"
    if ids is None:
        return np.fromiter(connection.execute(f"{select} ORDER BY id"), dtype=STORED_ROW)
    found: list[NucleusRows] = [np.zeros(0, dtype=STORED_ROW)]
    for part, marks in _parts(np.unique(ids).tolist()):
        rows = connection.execute(f"{select} WHERE id IN ({marks}) ORDER BY id", part)
        found.append(np.fromiter(rows, dtype=STORED_ROW))
    return np.concatenate(found)


def nucleus_rows_between(connection: sqlite3.Connection, first: int, last: int) -> NucleusRows:
    """Nuclei from one id to another, inclusive, as (n,) of STORED_ROW by id."""
    query = f"SELECT {', '.join(STORED_ROW.names or ())} FROM nuclei WHERE id BETWEEN ? AND ?"
    return np.fromiter(connection.execute(f"{query} ORDER BY id", (first, last)), dtype=STORED_ROW)


def id_spans(connection: sqlite3.Connection, count: int) -> list[tuple[int, int]]:
    """First and last id of spans that every id lies in one of; ids in use are divided equally."""
    # SQLite finds each of the two at once, but both in one query by reading the whole table.
    low, high = (
        connection.execute(f"SELECT {end}(id) FROM nuclei").fetchone()[0] or 0
        for end in ("min", "max")
    )
    starts = [low + (high - low + 1) * number // count for number in range(1, count)]
    ends = [*(start - 1 for start in starts), _LARGEST_ID]
    return list(zip([_LEAST_ID, *starts], ends, strict=True))


def require_nuclei(connection: sqlite3.Connection, ids: npt.NDArray[np.int64]) -> NucleusRows:
    """Nuclei as (n,) of STORED_ROW by id; raises UserError when one is not there."""
    rows = nucleus_rows(connection, ids)
    missing = np.setdiff1d(ids, rows["id"])
    if len(missing):
        raise UserError(f"There is no {missing[0]} among the nuclei any more.")
    return rows


def rows_by_id(
    rows: NucleusRows, ids: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Look ids up in rows of ascending ids: (n,) which are there, and (n,) where."""
    if not len(rows):
        return np.zeros(len(ids), dtype=bool), np.zeros(len(ids), dtype=np.intp)
    at = np.searchsorted(rows["id"], ids).clip(max=len(rows) - 1)
    return rows["id"][at] == ids, at


def write_rows(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Apply changes to rows of small tables."""
    for table, columns in COLUMNS.items():
        here = [c for c in changes if c.table == table]
        connection.executemany(
            f"DELETE FROM {table} WHERE id = ?", [(c.id,) for c in here if c.after is None]
        )
        connection.executemany(
            f"INSERT OR REPLACE INTO {table}(id, {', '.join(columns)}) VALUES"
            f" ({', '.join('?' * (len(columns) + 1))})",
            [(c.id, *c.after) for c in here if c.after is not None],
        )


def _parts(numbers: Sequence[int]) -> Iterable[tuple[Sequence[int], str]]:
    """Split ids into parts that fit one SQL statement, each with its placeholders."""
    for start in range(0, len(numbers), _AT_ONCE):
        part = numbers[start : start + _AT_ONCE]
        yield part, ", ".join("?" * len(part))
