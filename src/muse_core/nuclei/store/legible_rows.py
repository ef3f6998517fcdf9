"""Read the rows of a damaged SQLite file that can still be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from muse_core.errors import UserError
from muse_core.nuclei.store.rows import Row

_AT_ONCE = 1024
_MOST_LOST = 1 << 17
"""A table is given up after so many ids without a readable row: one page of the tree above the rows
leads to fewer."""
_UNREADABLE = (sqlite3.Error, OverflowError)


class LegibleRows:
    """A damaged SQLite file, to be closed after use.

    Args:
        path: The file. It should be a copy: SQLite may write to it.
        name: What messages call it.

    Attributes:
        illegible: How many ids could not be looked up, by table; those without a row in a damaged
            part of the file count too.
        holds_code: Whether there is a view or trigger.

    Raises:
        UserError: Not even the list of its tables can be read.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.illegible: dict[str, int] = {}
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.text_factory = lambda text: text.decode("utf-8", "replace")
        try:
            self._connection.execute("PRAGMA trusted_schema = OFF")
            # Else one table whose description is damaged makes all others unreadable.
            self._connection.execute("PRAGMA writable_schema = ON")
            found = self._connection.execute("SELECT type, name FROM sqlite_master").fetchall()
        except sqlite3.Error as error:
            self.close()
            raise UserError(f"Nothing can be read of {name}: {error}.") from error
        self._tables = {table for kind, table in found if kind == "table"}
        self.holds_code = any(kind in ("view", "trigger") for kind, _ in found)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of a table; none where there is no such table."""
        if table not in self._tables:
            return ()
        try:
            found = self._connection.execute(f"PRAGMA table_info({table})").fetchall()
        except sqlite3.Error:
            return ()
        return tuple(name for _, name, *_ in found)

    def rows(self, table: str, columns: Sequence[str], last: int | None = None) -> Iterator[Row]:
        """Rows by id.

        Args:
            table: Which.
            columns: Some of those of :meth:`columns`.
            last: The highest id that a row may have, for where the end of the table is damaged.
        """
        self.illegible[table] = 0
        highest = self._highest(table)
        end = last if highest is None else highest
        query = f"SELECT rowid, {', '.join(columns)} FROM {table} WHERE rowid > ?"
        done = seen = 0
        while done < (seen + _AT_ONCE if end is None else end) and done - seen < _MOST_LOST:
            try:
                found = self._connection.execute(
                    f"{query} ORDER BY rowid LIMIT {_AT_ONCE}", (done,)
                ).fetchall()
                if not found:
                    return
                done = int(found[-1][0])
            except _UNREADABLE:
                stop = done + _AT_ONCE if end is None else min(done + _AT_ONCE, end)
                found = self._one_by_one(table, query, range(done + 1, stop + 1))
                done = stop
            if found:
                seen = int(found[-1][0])
            yield from (row[1:] for row in found)

    def _highest(self, table: str) -> int | None:
        """The highest id, None where it cannot be read."""
        try:
            found = self._connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0]
        except _UNREADABLE:
            return None
        return 0 if found is None else int(found)

    def _one_by_one(self, table: str, query: str, numbers: range) -> list[Row]:
        found: list[Row] = []
        for number in numbers:
            try:
                found += self._connection.execute(f"{query} AND rowid = ?", (number - 1, number))
            except _UNREADABLE:
                self.illegible[table] += 1
        return found
