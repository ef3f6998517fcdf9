"""An edit: what rows were before and are after, so that it can be undone and redone."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from muse_core.errors import UserError
from muse_core.nuclei.outlines import read_vertices

Row = tuple[Any, ...]

COLUMNS = {
    "nuclei": ("x", "y", "class_id", "score", "status", "model_id"),
    "regions": ("name", "vertices", "reviewed"),
    "classes": ("name", "color", "key", "position"),
    "live_predictions": ("revision",),
}
"""Tables that edits touch, with their columns beside ``id``."""
UNCERTAINTY = ("entropy", "margin", "disagreement")
"""Columns of nuclei that say how unsure a model was; NaN where it did not say."""
WHOLE = {**COLUMNS, "nuclei": (*COLUMNS["nuclei"], *UNCERTAINTY)}
"""The same with the columns that edits leave alone, for rows that go or come back as a whole."""

# A journal is read from files others may have made. This is two million nuclei in one edit.
_MAX_CHANGES_BYTES = 1 << 28


@dataclass(frozen=True)
class Change:
    """One row; ``before`` and ``after`` in the order of :data:`WHOLE`, None for no row.

    Of a row that stays only the :data:`COLUMNS` are given.
    """

    table: str
    id: int
    before: Row | None
    after: Row | None

    def reversed(self) -> Change:
        """The change that takes this one back."""
        return Change(self.table, self.id, self.after, self.before)


@dataclass(frozen=True)
class Edit:
    """What a person did in one go.

    Attributes:
        label: What it was, such as "class of 3 nuclei (tumor)"; completes "Undone: ".
        changes: The rows it touched.
        left_out: Of one that was taken back or done again, how many nuclei it could not bring back
            to what they were, for something else has taken their place since.
    """

    label: str
    changes: tuple[Change, ...]
    left_out: int = 0

    def reversed(self) -> Edit:
        """The edit that takes this one back."""
        return Edit(self.label, tuple(c.reversed() for c in reversed(self.changes)))

    @property
    def nucleus_ids(self) -> tuple[int, ...]:
        """Ids of the nuclei it touched."""
        return tuple(c.id for c in self.changes if c.table == "nuclei")

    @property
    def places(self) -> list[tuple[float, float]]:
        """Where its nuclei are before and after it, level-0 pixels."""
        rows = [r for c in self.changes if c.table == "nuclei" for r in (c.before, c.after)]
        return [(row[0], row[1]) for row in rows if row is not None]

    @property
    def outlines(self) -> list[list[list[float]]]:
        """Corners [x, y] of the regions it touched, level-0 pixels."""
        rows = [c.after or c.before for c in self.changes if c.table == "regions"]
        return [read_vertices(row[1]) for row in rows if row is not None]


def pack_changes(changes: Sequence[Change]) -> bytes:
    """Changes as compressed JSON for the journal.

    Raises:
        UserError: They are too many to be read again.
    """
    rows = [[c.table, c.id, c.before, c.after] for c in changes]
    text = json.dumps(rows, separators=(",", ":")).encode()
    if len(text) > _MAX_CHANGES_BYTES:
        raise UserError("This changes too much at once; do it in parts.")
    return zlib.compress(text, level=1)


def unpack_changes(blob: bytes) -> tuple[Change, ...]:
    """The inverse of :func:`pack_changes`.

    Raises:
        UserError: The entry is damaged.
    """
    try:
        stream = zlib.decompressobj()
        text = stream.decompress(blob, _MAX_CHANGES_BYTES)
        if stream.unconsumed_tail:
            raise ValueError("too large")
        rows = json.loads(text)
        changes = tuple(
            Change(
                str(table),
                int(number),
                None if before is None else tuple(before),
                None if after is None else tuple(after),
            )
            for table, number, before, after in rows
        )
    except (zlib.error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UserError("The journal of this annotation store is damaged.") from error
    if not all(_is_sound(c) for c in changes):
        raise UserError("The journal of this annotation store is damaged.")
    return changes


def _is_sound(change: Change) -> bool:
    """Whether a change is of a table that edits touch, and its rows have as many columns."""
    if change.table not in COLUMNS:
        return False
    widths = {len(COLUMNS[change.table]), len(WHOLE[change.table])}
    return all(row is None or len(row) in widths for row in (change.before, change.after))
