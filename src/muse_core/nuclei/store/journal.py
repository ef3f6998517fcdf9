"""The journal: every edit, undo and redo appended, and the stack that undo walks along."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from muse_core.nuclei.store.class_rules import (
    bring_classes,
    classes_that_can_go,
    require_no_class_goes,
    with_standing_classes,
)
from muse_core.nuclei.store.edits import (
    COLUMNS,
    Change,
    Edit,
    Row,
    pack_changes,
    unpack_changes,
)
from muse_core.nuclei.store.holdout import decide
from muse_core.nuclei.store.reversible import reversible_changes
from muse_core.nuclei.store.rows import apply_changes


def record(
    connection: sqlite3.Connection, annotator: str, label: str, changes: Sequence[Change]
) -> Edit:
    """Apply an edit, write it to the journal, and put it on the undo stack.

    What was taken back before it can no longer be redone.

    Raises:
        UserError: A class would go while a detection is running.
    """
    edit = Edit(label, tuple(changes))
    require_no_class_goes(connection, _of_classes(edit))
    _apply(connection, edit.changes)
    seq = _append(connection, annotator, "edit", edit, None)
    depth = _depth(connection)
    connection.execute("DELETE FROM undo_stack WHERE position > ?", (depth,))
    connection.execute("INSERT INTO undo_stack VALUES (?, ?)", (depth + 1, seq))
    connection.execute("UPDATE undo_depth SET depth = ?", (depth + 1,))
    return edit


def undo(connection: sqlite3.Connection, annotator: str) -> Edit | None:
    """Take back the edit on top of the stack; returns what that changed, None if it is empty.

    Raises:
        UserError: A class would go while a detection is running.
    """
    depth = _depth(connection)
    return _step(connection, annotator, "undo", depth, depth - 1)


def redo(connection: sqlite3.Connection, annotator: str) -> Edit | None:
    """Do again what was taken back last; None if there is nothing to do again.

    Raises:
        UserError: A class would go while a detection is running.
    """
    depth = _depth(connection)
    return _step(connection, annotator, "redo", depth + 1, depth + 1)


def _step(
    connection: sqlite3.Connection, annotator: str, kind: str, position: int, depth: int
) -> Edit | None:
    """Go along the stack; returns what that changed, which may be less than the edit says."""
    entry = _entry(connection, position)
    if entry is None:
        return None
    of_seq, since, last = entry
    edit = last.reversed()
    classes = with_standing_classes(connection, _of_classes(edit))
    require_no_class_goes(connection, classes)
    regions = [change for change in edit.changes if change.table == "regions"]
    nuclei = [change for change in edit.changes if change.table == "nuclei"]
    # Before it is asked which classes are still in use.
    predictions = [change for change in edit.changes if change.table == "live_predictions"]
    apply_changes(connection, predictions)
    reversible = reversible_changes(connection, nuclei, since)
    gone = classes_that_can_go(connection, classes, {change.id for change in reversible.here})
    brought = bring_classes(connection, classes, gone)
    # Known only by now which classes others stand for.
    here, aside = (
        with_standing_classes(connection, c) for c in (reversible.here, reversible.aside)
    )
    apply_changes(connection, aside, nuclei="aside")
    _apply(connection, (*regions, *here, *brought, *gone))
    changes = (*predictions, *regions, *aside, *here, *brought, *gone)
    made = Edit(edit.label, changes, reversible.left_out)
    _append(connection, annotator, kind, made, of_seq)
    connection.execute("UPDATE undo_depth SET depth = ?", (depth,))
    return made


def _apply(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    apply_changes(connection, changes)
    if any(change.table == "regions" and _is_reviewed(change.after) for change in changes):
        decide(connection)


def _is_reviewed(region: Row | None) -> bool:
    return region is not None and bool(region[COLUMNS["regions"].index("reviewed")])


def _of_classes(edit: Edit) -> list[Change]:
    return [change for change in edit.changes if change.table == "classes"]


def _entry(connection: sqlite3.Connection, position: int) -> tuple[int, int, Edit] | None:
    """What stands at a place of the stack, None where nothing does.

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
    return None if row is None else (row[0], row[1], Edit(row[2], unpack_changes(row[3])))


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
