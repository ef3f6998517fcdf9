"""Keep classes consistent under undo: every nucleus has a class, and names and keys are unique.

Detections add nuclei and classes without an edit, and undo reaches back past them. A step that
would remove the class of such nuclei, or restore a name that is taken by now, is made as far as
possible, so that older edits can still be undone. Each function runs inside the caller's
transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.store.detection import in_progress
from muse_core.nuclei.store.predictions import live_classes
from muse_core.nuclei.store.rows import Change, Row


def read_scheme(connection: sqlite3.Connection) -> ClassScheme:
    """The classes in order."""
    rows = connection.execute("SELECT name, color, key FROM classes ORDER BY position, id")
    return ClassScheme(tuple(NucleusClass(*row) for row in rows))


def require_no_class_goes(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Raise UserError if changes remove a class while a running detection may add nuclei of it."""
    gone = [str(c.before[0]) for c in changes if c.before is not None and c.after is None]
    if gone and in_progress(connection):
        raise UserError(
            f"The class {gone[0]} cannot go while a detection is running; wait for its end or"
            " cancel it."
        )


def stand_ins(connection: sqlite3.Connection) -> dict[int, int]:
    """Map from ids of removed classes to ids of the classes that have replaced them."""
    return dict(connection.execute("SELECT id, stands_for FROM class_alias").fetchall())


def standing_classes(
    connection: sqlite3.Connection, changes: Sequence[Change]
) -> tuple[Change, ...]:
    """Rewrite changes of classes to refer to the classes that have replaced removed ones."""
    known = stand_ins(connection)
    return tuple(replace(change, id=known.get(change.id, change.id)) for change in changes)


def bring_classes(
    connection: sqlite3.Connection, changes: Sequence[Change], going: Sequence[Change]
) -> tuple[Change, ...]:
    """Restore classes with their names, colours and keys.

    A class whose name has been taken by another one since is not restored: the other one replaces
    it from then on. A class that stays does not get a name that is taken.

    Args:
        connection: In a transaction.
        changes: Changes of classes of an edit that is undone or redone; removals are ignored here.
        going: Those of them that will remove a class.

    Returns:
        What was changed.
    """
    touched = {c.id for c in (*(c for c in changes if c.after is not None), *going)}
    rows = connection.execute("SELECT id, name, color, key, position FROM classes").fetchall()
    now: dict[int, Row] = {row[0]: tuple(row[1:]) for row in rows}
    names = {row[0]: number for number, row in now.items() if number not in touched}
    keys = {row[2] for number, row in now.items() if number not in touched}
    made = []
    for change in changes:
        if change.after is None or (change.before is None) == (change.id in now):
            continue
        name, color, key, position = change.after
        if change.id not in now and name in names:
            _let_stand_for(connection, change.id, names[name])
            continue
        if name in names:
            name = now[change.id][0]
        after = (name, color, "" if key in keys else key, position)
        names[name] = change.id
        keys.add(after[2])
        made.append(replace(change, before=now.get(change.id), after=after))
    return tuple(made)


def classes_that_can_go(
    connection: sqlite3.Connection, changes: Sequence[Change], moving: npt.NDArray[np.int64]
) -> tuple[Change, ...]:
    """Return the changes that remove a class which no nucleus will have.

    Args:
        connection: In a transaction.
        changes: Of classes.
        moving: Ids of the nuclei that go, or get other classes, in the same step.
    """
    leaving = [c for c in changes if c.after is None]
    return tuple(c for c in leaving if not _keeps_nuclei(connection, c.id, moving))


def _let_stand_for(connection: sqlite3.Connection, gone: int, stand_in: int) -> None:
    connection.execute(
        "UPDATE class_alias SET stands_for = ? WHERE stands_for = ?", (stand_in, gone)
    )
    connection.execute("INSERT OR REPLACE INTO class_alias VALUES (?, ?)", (gone, stand_in))


def _keeps_nuclei(
    connection: sqlite3.Connection, number: int, moving: npt.NDArray[np.int64]
) -> bool:
    if number in live_classes(connection):
        return True
    rows = connection.execute("SELECT id FROM nuclei WHERE class_id = ?", (number,))
    ids = np.fromiter((row[0] for row in rows), dtype=np.int64)
    return not np.isin(ids, moving).all()
