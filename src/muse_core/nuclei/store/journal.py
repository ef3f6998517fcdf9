"""The journal: every edit, undo and redo appended, and the stack that undo walks along."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from muse_core.nuclei.store.class_rules import require_valid_classes
from muse_core.nuclei.store.edits import Change, Edit, pack_changes, unpack_changes
from muse_core.nuclei.store.rows import apply_changes


def record(
    connection: sqlite3.Connection, annotator: str, label: str, changes: Sequence[Change]
) -> None:
    """Apply an edit, write it to the journal, and put it on the undo stack.

    What was taken back before it can no longer be redone.

    Raises:
        UserError: The classes would no longer be in order, see :mod:`class_rules`.
    """
    edit = Edit(label, tuple(changes))
    _apply(connection, edit)
    seq = _append(connection, annotator, "edit", edit, None)
    depth = _depth(connection)
    connection.execute("DELETE FROM undo_stack WHERE position > ?", (depth,))
    connection.execute("INSERT INTO undo_stack VALUES (?, ?)", (depth + 1, seq))
    connection.execute("UPDATE undo_depth SET depth = ?", (depth + 1,))


def undo(connection: sqlite3.Connection, annotator: str) -> Edit | None:
    """Take back the edit on top of the stack; returns what that changed, None if it is empty.

    Raises:
        UserError: The classes would no longer be in order.
    """
    depth = _depth(connection)
    entry = _entry(connection, depth)
    if entry is None:
        return None
    seq, edit = entry
    _step(connection, annotator, "undo", edit.reversed(), seq, depth - 1)
    return edit.reversed()


def redo(connection: sqlite3.Connection, annotator: str) -> Edit | None:
    """Do again what was taken back last; None if there is nothing to do again.

    Raises:
        UserError: The classes would no longer be in order.
    """
    depth = _depth(connection)
    entry = _entry(connection, depth + 1)
    if entry is None:
        return None
    seq, edit = entry
    _step(connection, annotator, "redo", edit, seq, depth + 1)
    return edit


def _apply(connection: sqlite3.Connection, edit: Edit) -> None:
    apply_changes(connection, edit.changes)
    require_valid_classes(connection, edit.changes)


def _step(
    connection: sqlite3.Connection, annotator: str, kind: str, edit: Edit, of_seq: int, depth: int
) -> None:
    _apply(connection, edit)
    _append(connection, annotator, kind, edit, of_seq)
    connection.execute("UPDATE undo_depth SET depth = ?", (depth,))


def _entry(connection: sqlite3.Connection, position: int) -> tuple[int, Edit] | None:
    row = connection.execute(
        "SELECT j.seq, j.label, j.changes FROM undo_stack s JOIN journal j ON j.seq = s.seq"
        " WHERE s.position = ?",
        (position,),
    ).fetchone()
    return None if row is None else (int(row[0]), Edit(row[1], unpack_changes(row[2])))


def _append(
    connection: sqlite3.Connection, annotator: str, kind: str, edit: Edit, of_seq: int | None
) -> int:
    connection.execute("INSERT OR IGNORE INTO annotators(name) VALUES (?)", (annotator,))
    cursor = connection.execute(
        "INSERT INTO journal(at, annotator_id, kind, label, of_seq, changes) VALUES"
        " (?, (SELECT id FROM annotators WHERE name = ?), ?, ?, ?, ?)",
        (
            datetime.now(UTC).isoformat(),
            annotator,
            kind,
            edit.label,
            of_seq,
            pack_changes(edit.changes),
        ),
    )
    return int(cursor.lastrowid or 0)


def _depth(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT depth FROM undo_depth").fetchone()[0])
