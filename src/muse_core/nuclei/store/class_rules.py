"""Keeping classes in order: every nucleus has one, and each name and key is there once.

Detections and files put nuclei and classes in without an edit, and undo reaches back past them. A
step that would take a class from such nuclei, or bring back a name that is taken by now, is made as
far as it can be, so that older edits stay within reach.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence

from muse_core.errors import UserError
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.store.detection import in_progress
from muse_core.nuclei.store.edits import Change, Row


def read_scheme(connection: sqlite3.Connection) -> ClassScheme:
    """The classes in order."""
    rows = connection.execute("SELECT name, color, key FROM classes ORDER BY position, id")
    return ClassScheme(tuple(NucleusClass(*row) for row in rows))


def require_no_class_goes(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Raises UserError if one would while a detection may still bring nuclei of it."""
    gone = [str(c.before[0]) for c in changes if c.before is not None and c.after is None]
    if gone and in_progress(connection):
        raise UserError(
            f"The class {gone[0]} cannot go while a detection is running; wait for its end or"
            " cancel it."
        )


def fitted(connection: sqlite3.Connection, changes: Sequence[Change]) -> tuple[Change, ...]:
    """What of changes of classes can be made now.

    Args:
        connection: In a transaction in which the edit's changes of nuclei have been made.
        changes: Of classes, of an edit that is taken back or done again.

    Raises:
        UserError: A class would go while a detection is running.
    """
    require_no_class_goes(connection, changes)
    touched = {change.id for change in changes}
    others = connection.execute("SELECT id, name, key FROM classes").fetchall()
    names = {name for number, name, _ in others if number not in touched}
    keys = {key for number, _, key in others if number not in touched}
    kept = []
    for change in changes:
        after = change.after
        if after is None:
            if _has_nuclei(connection, change.id):
                continue
        else:
            after = _free(after, names, keys)
            names.add(after[0])
            keys.add(after[2])
        kept.append(Change(change.table, change.id, change.before, after))
    return tuple(kept)


def _free(row: Row, names: set[str], keys: set[str]) -> Row:
    """A class with a name and a key that no other has."""
    name, color, key, position = row
    if name in names:
        name = next(n for i in itertools.count(2) if (n := f"{name} {i}") not in names)
    return (name, color, "" if key in keys else key, position)


def _has_nuclei(connection: sqlite3.Connection, number: int) -> bool:
    found = connection.execute("SELECT 1 FROM nuclei WHERE class_id = ? LIMIT 1", (number,))
    return found.fetchone() is not None
