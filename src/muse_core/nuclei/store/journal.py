"""The journal, to which every edit, undo and redo is appended, and the undo stack."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from muse_core.nuclei.store.class_rules import (
    bring_classes,
    classes_that_can_go,
    require_no_class_goes,
    stand_ins,
    standing_classes,
)
from muse_core.nuclei.store.edits import Edit, class_changes, reversed_changes
from muse_core.nuclei.store.holdout import decide
from muse_core.nuclei.store.ingest import write_changes
from muse_core.nuclei.store.packing import pack_changes, unpack_changes
from muse_core.nuclei.store.predictions import forget_unreachable
from muse_core.nuclei.store.reversible import reversible_changes
from muse_core.nuclei.store.rows import COLUMNS, Change, Row, write_rows


def record(connection: sqlite3.Connection, annotator: str, edit: Edit) -> None:
    """Apply an edit, write it to the journal, and put it on the undo stack.

    Edits that were undone before can no longer be redone.

    Raises:
        UserError: The edit would remove a class while a detection is running.
    """
    require_no_class_goes(connection, class_changes(edit.changes))
    write_changes(connection, edit.nuclei)
    _write_rows(connection, edit.changes)
    seq = _append(connection, annotator, "edit", edit, None)
    depth = _depth(connection)
    connection.execute("DELETE FROM undo_stack WHERE position > ?", (depth,))
    connection.execute("INSERT INTO undo_stack VALUES (?, ?)", (depth + 1, seq))
    connection.execute("UPDATE undo_depth SET depth = ?", (depth + 1,))
    for change in edit.of("live_predictions"):
        forget_unreachable(connection, change.after[0] if change.after else None, seq)


def undo(connection: sqlite3.Connection, annotator: str) -> Edit | None:
    """Undo the edit on top of the stack; returns the changes, None if the stack is empty.

    Raises:
        UserError: This would remove a class while a detection is running.
    """
    depth = _depth(connection)
    return _step(connection, annotator, "undo", depth, depth - 1)


def redo(connection: sqlite3.Connection, annotator: str) -> Edit | None:
    """Redo the edit that was undone last; returns the changes, None if there is none.

    Raises:
        UserError: This would remove a class while a detection is running.
    """
    depth = _depth(connection)
    return _step(connection, annotator, "redo", depth + 1, depth + 1)


def step_bytes(connection: sqlite3.Connection, again: bool) -> int:
    """Return the bytes of the journal that the next undo, or redo, reads; 0 without one."""
    row = connection.execute(
        "SELECT length(j.changes) FROM undo_stack s JOIN journal j ON j.seq = s.seq"
        " WHERE s.position = ?",
        (_depth(connection) + int(again),),
    ).fetchone()
    return 0 if row is None else int(row[0])


def _step(
    connection: sqlite3.Connection, annotator: str, kind: str, position: int, depth: int
) -> Edit | None:
    """Go along the stack; returns what that changed, which may be less than the edit says."""
    entry = _entry(connection, position)
    if entry is None:
        return None
    of_seq, since, last = entry
    changes = reversed_changes(last.changes)
    classes = standing_classes(connection, class_changes(changes))
    require_no_class_goes(connection, classes)
    others = tuple(change for change in changes if change.table != "classes")
    # First, because classes_that_can_go() looks for classes that are still in use.
    _write_rows(connection, others)
    reversible = reversible_changes(connection, last.nuclei.reversed(), since)
    gone = classes_that_can_go(connection, classes, reversible.here.ids)
    brought = bring_classes(connection, classes, gone)
    # Only now, because bring_classes() may change which classes stand in for others.
    known = stand_ins(connection)
    here, aside = reversible.here.with_classes(known), reversible.aside.with_classes(known)
    write_changes(connection, aside, "aside")
    write_changes(connection, here)
    write_rows(connection, (*brought, *gone))
    made = Edit(last.label, here, (*others, *brought, *gone), reversible.left_out, aside)
    _append(connection, annotator, kind, made, of_seq)
    connection.execute("UPDATE undo_depth SET depth = ?", (depth,))
    return made


def _write_rows(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    write_rows(connection, changes)
    if any(change.table == "regions" and _is_reviewed(change.after) for change in changes):
        decide(connection)


def _is_reviewed(region: Row | None) -> bool:
    return region is not None and bool(region[COLUMNS["regions"].index("reviewed")])


def _entry(connection: sqlite3.Connection, position: int) -> tuple[int, int, Edit] | None:
    """Return the entry at a position of the stack, or None.

    Returns:
        The journal entry of the edit, that of the last time it was made, taken back or done again,
        and what was changed then.
    """
    row = connection.execute(
        "SELECT s.seq, j.seq, j.label, j.changes FROM undo_stack s"
        " JOIN journal j ON j.seq = s.seq OR j.of_seq = s.seq"
        " WHERE s.position = ? ORDER BY j.seq DESC LIMIT 1",
        (position,),
    ).fetchone()
    return None if row is None else (row[0], row[1], Edit(row[2], *unpack_changes(row[3])))


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
            pack_changes(edit.aside + edit.nuclei, edit.changes),
        ),
    )
    return int(cursor.lastrowid or 0)


def _depth(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT depth FROM undo_depth").fetchone()[0])
