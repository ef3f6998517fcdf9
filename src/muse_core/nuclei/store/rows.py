"""Reading and writing single rows of a store, inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from muse_core.errors import UserError
from muse_core.nuclei.store.edits import COLUMNS, Change, Row


def take_ids(connection: sqlite3.Connection, table: str, count: int) -> int:
    """First of ``count`` new ids. None is ever given out twice: the journal refers to them."""
    first = connection.execute("SELECT value FROM next_id WHERE name = ?", (table,)).fetchone()[0]
    connection.execute("UPDATE next_id SET value = ? WHERE name = ?", (first + count, table))
    return int(first)


def read_row(connection: sqlite3.Connection, table: str, number: int) -> Row:
    """One row in the order of COLUMNS; raises UserError when it is not there."""
    columns = ", ".join(COLUMNS[table])
    row = connection.execute(f"SELECT {columns} FROM {table} WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise UserError(f"There is no {number} among the {table} any more.")
    return tuple(row)


def apply_changes(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Bring rows to what they are after each change."""
    for change in changes:
        if change.after is None:
            connection.execute(f"DELETE FROM {change.table} WHERE id = ?", (change.id,))
        else:
            columns = COLUMNS[change.table]
            marks = ", ".join("?" * (len(columns) + 1))
            connection.execute(
                f"INSERT OR REPLACE INTO {change.table}(id, {', '.join(columns)}) VALUES ({marks})",
                (change.id, *change.after),
            )
        if change.table == "nuclei":
            _index(connection, change)


def _index(connection: sqlite3.Connection, change: Change) -> None:
    """Keep the R-tree in step; most edits move nothing."""
    before, after = change.before and change.before[:2], change.after and change.after[:2]
    if before == after:
        return
    connection.execute("DELETE FROM nuclei_index WHERE id = ?", (change.id,))
    if after is not None:
        x, y = after
        connection.execute(
            "INSERT INTO nuclei_index VALUES (?, ?, ?, ?, ?)", (change.id, x, x, y, y)
        )
