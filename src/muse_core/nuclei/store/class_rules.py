"""What must hold of classes after an edit, inside the caller's transaction.

Detections and files put nuclei and classes in without an edit, so that undo, which reaches back
past them, could take a class away from its nuclei or bring a name back that is taken.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from muse_core.errors import UserError
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.store.detection import in_progress
from muse_core.nuclei.store.edits import Change


def read_scheme(connection: sqlite3.Connection) -> ClassScheme:
    """The classes in order; raises UserError where two share a name or a key."""
    rows = connection.execute("SELECT name, color, key FROM classes ORDER BY position, id")
    return ClassScheme(tuple(NucleusClass(*row) for row in rows))


def require_valid_classes(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """See that changes just applied leave every nucleus a class, and each name and key once.

    Raises:
        UserError: They do not, or a class goes while a detection may still bring nuclei of it.
    """
    of_classes = [change for change in changes if change.table == "classes"]
    if not of_classes:
        return
    for change in of_classes:
        if change.after is None and change.before is not None:
            _require_unused(connection, change.id, str(change.before[0]))
    read_scheme(connection)


def _require_unused(connection: sqlite3.Connection, number: int, name: str) -> None:
    if in_progress(connection):
        raise UserError(
            f"The class {name} cannot go while a detection is running; wait for its end or"
            " cancel it."
        )
    if connection.execute("SELECT 1 FROM nuclei WHERE class_id = ?", (number,)).fetchone():
        raise UserError(
            f"The class {name} cannot go: a detection or a file has brought nuclei of it. Merge it"
            " into another class."
        )
