"""Reading and writing rows of a store, inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.nuclei.store.edits import COLUMNS, UNCERTAINTY, WHOLE, Change, Row
from muse_core.nuclei.store.spatial_index import ensure_squares

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
"""A nucleus as its row has it; classes and models by their ids in the store."""
NUCLEUS_ROW = np.dtype([*STORED_ROW.descr, ("probability", np.float32)])
"""A nucleus as one sees it: with the class that the live predictions give it, and the probability
of that; NaN where they say nothing of it, or a person has."""

NucleusRows = npt.NDArray[Any]
# SQLite's limit of values in a statement is far above this.
_AT_ONCE = 500


def take_ids(connection: sqlite3.Connection, table: str, count: int) -> int:
    """First of ``count`` new ids. None is ever given out twice: the journal refers to them."""
    first = connection.execute("SELECT value FROM next_id WHERE name = ?", (table,)).fetchone()[0]
    connection.execute("UPDATE next_id SET value = ? WHERE name = ?", (first + count, table))
    return int(first)


def read_row(connection: sqlite3.Connection, table: str, number: int) -> Row:
    """One row in the order of COLUMNS; raises UserError when it is not there."""
    return read_rows(connection, table, [number])[number]


def read_rows(connection: sqlite3.Connection, table: str, numbers: Sequence[int]) -> dict[int, Row]:
    """Rows by id, in the order of COLUMNS; raises UserError when one is not there."""
    columns = ", ".join(COLUMNS[table])
    found: dict[int, Row] = {}
    for part, marks in _parts(numbers):
        rows = connection.execute(f"SELECT id, {columns} FROM {table} WHERE id IN ({marks})", part)
        found |= {row[0]: tuple(row[1:]) for row in rows}
    for number in numbers:
        if number not in found:
            raise UserError(f"There is no {number} among the {table} any more.")
    return found


def nucleus_rows(
    connection: sqlite3.Connection, ids: Sequence[int] | None = None, table: str = "nuclei"
) -> NucleusRows:
    """Nuclei as an array, by id; those of ``ids`` that are not there are left out."""
    select = f"SELECT {', '.join(STORED_ROW.names or ())} FROM {table}"
    if ids is None:
        return np.fromiter(connection.execute(f"{select} ORDER BY id"), dtype=STORED_ROW)
    found: list[NucleusRows] = [np.zeros(0, dtype=STORED_ROW)]
    for part, marks in _parts(sorted(ids)):
        rows = connection.execute(f"{select} WHERE id IN ({marks}) ORDER BY id", part)
        found.append(np.fromiter(rows, dtype=STORED_ROW))
    return np.concatenate(found)


def whole_rows(
    connection: sqlite3.Connection, ids: Sequence[int], table: str = "nuclei"
) -> dict[int, Row]:
    """Nuclei by id, in the order of WHOLE; those that are not there are left out."""
    columns = ", ".join(WHOLE["nuclei"])
    found: dict[int, Row] = {}
    for part, marks in _parts(ids):
        rows = connection.execute(f"SELECT id, {columns} FROM {table} WHERE id IN ({marks})", part)
        found |= {row[0]: tuple(row[1:]) for row in rows}
    return found


def apply_changes(
    connection: sqlite3.Connection, changes: Sequence[Change], nuclei: str = "nuclei"
) -> None:
    """Bring rows to what they are after the changes, of which each row has at most one.

    Args:
        connection: In a transaction.
        changes: Rows in the order of COLUMNS or, those of nuclei, of WHOLE.
        nuclei: The table that the nuclei are in.
    """
    for kind, columns in WHOLE.items():
        table = nuclei if kind == "nuclei" else kind
        here = [c for c in changes if c.table == kind]
        connection.executemany(
            f"DELETE FROM {table} WHERE id = ?", [(c.id,) for c in here if c.after is None]
        )
        kept = [(c.id, *c.after) for c in here if c.after is not None]
        for width in {len(COLUMNS[kind]), len(columns)}:
            # Not REPLACE, which would forget the columns that edits do not touch.
            connection.executemany(
                f"INSERT INTO {table}(id, {', '.join(columns[:width])}) VALUES"
                f" ({', '.join('?' * (width + 1))}) ON CONFLICT(id) DO UPDATE SET"
                f" {', '.join(f'{name} = excluded.{name}' for name in columns[:width])}",
                (row for row in kept if len(row) == width + 1),
            )
        if table == "nuclei" and kept:
            xy = np.array([row[1:3] for row in kept], dtype=np.float64)
            ensure_squares(connection, xy[:, 0], xy[:, 1])


def _parts(numbers: Sequence[int]) -> Iterable[tuple[Sequence[int], str]]:
    """Ids in parts a statement can take, each with its question marks."""
    for start in range(0, len(numbers), _AT_ONCE):
        part = numbers[start : start + _AT_ONCE]
        yield part, ", ".join("?" * len(part))
