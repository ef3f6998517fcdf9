"""Edit: rows before and after a change, from which it is undone, redone and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from muse_core.array_types import Mask
from muse_core.nuclei.outlines import read_vertices
from muse_core.nuclei.store.predictions import Predictions
from muse_core.nuclei.store.rows import (
    EDITED,
    NUCLEUS_ROW,
    STORED_ROW,
    UNCERTAINTY,
    Change,
    NucleusRows,
    rows_by_id,
)


@dataclass(frozen=True, eq=False)
class NucleusChanges:
    """Rows of n nuclei before and after an edit.

    Attributes:
        before: (n,) of STORED_ROW; where ``existed`` is False, only the id is meaningful.
        after: (n,) of STORED_ROW, with the same ids; where ``exists`` is False, only the id is
            meaningful. Of nuclei that exist before and after, only the columns EDITED are.
        existed: (n,) bool, which nuclei existed before.
        exists: (n,) bool, which nuclei exist after.
    """

    before: NucleusRows
    after: NucleusRows
    existed: Mask
    exists: Mask

    @classmethod
    def of_none(cls) -> NucleusChanges:
        """No changes."""
        return cls.to(np.zeros(0, dtype=STORED_ROW), np.zeros(0, dtype=STORED_ROW))

    @classmethod
    def to(cls, before: NucleusRows, after: NucleusRows) -> NucleusChanges:
        """Return changes of nuclei that exist before and after."""
        there = np.ones(len(before), dtype=bool)
        return cls(before, after, there, there)

    @classmethod
    def coming(cls, rows: NucleusRows) -> NucleusChanges:
        """Return changes that add nuclei."""
        there = np.ones(len(rows), dtype=bool)
        return cls(rows, rows, ~there, there)

    @classmethod
    def going(cls, rows: NucleusRows) -> NucleusChanges:
        """Return changes that remove nuclei."""
        there = np.ones(len(rows), dtype=bool)
        return cls(rows, rows, there, ~there)

    def __len__(self) -> int:
        return len(self.before)

    def __add__(self, other: NucleusChanges) -> NucleusChanges:
        return NucleusChanges(
            np.concatenate([self.before, other.before]),
            np.concatenate([self.after, other.after]),
            np.concatenate([self.existed, other.existed]),
            np.concatenate([self.exists, other.exists]),
        )

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """(n,) ids of the nuclei."""
        return np.ascontiguousarray(self.before["id"])

    def take(self, which: Mask) -> NucleusChanges:
        """Return the changes that a mask selects."""
        return NucleusChanges(
            self.before[which], self.after[which], self.existed[which], self.exists[which]
        )

    def differing(self) -> NucleusChanges:
        """Return the changes whose rows differ before and after."""
        moved = self.existed != self.exists
        for name in EDITED:
            moved |= self.before[name] != self.after[name]
        return self.take(moved)

    def reversed(self) -> NucleusChanges:
        """The inverse changes."""
        return NucleusChanges(self.after, self.before, self.exists, self.existed)

    def starting_from(self, rows: NucleusRows) -> NucleusChanges:
        """Return changes with the same result that start from current rows, by ascending id."""
        found, at = rows_by_id(rows, self.ids)
        before, after = self.after.copy(), self.after.copy()
        before[found] = rows[at[found]]
        # Uncertainty is not edited: nuclei that are neither added nor removed keep the current one.
        stay = found & self.exists & self.existed
        for name in UNCERTAINTY:
            after[name][stay] = before[name][stay]
        return replace(self, before=before, after=after, existed=found)

    def with_classes(self, stand_ins: dict[int, int]) -> NucleusChanges:
        """Replace classes, by their ids."""
        before, after = self.before.copy(), self.after.copy()
        for rows in (before, after):
            was = rows["class_id"].copy()
            for gone, stand_in in stand_ins.items():
                rows["class_id"][was == gone] = stand_in
        return replace(self, before=before, after=after)


@dataclass(frozen=True, eq=False)
class Edit:
    """The changes of one edit, or of its undo or redo.

    Attributes:
        label: What it was, such as "class of 3 nuclei (tumor)"; completes "Undone: ".
        nuclei: The nuclei it touched.
        changes: Rows of other tables it touched: regions, classes, and which predictions are live.
        left_out: For an undo or redo, the number of nuclei that could not be restored, because
            something else has taken their place since.
        aside: Nuclei it touched that a running detection has replaced and that are hidden.
        shown: (m,) of NUCLEUS_ROW, by ascending id: those of ``nuclei`` that exist after it, with
            live predictions applied.
        relabelled: If it changed the live predictions, the classes that nuclei untouched by a
            person are now shown with.
    """

    label: str
    nuclei: NucleusChanges = field(default_factory=NucleusChanges.of_none)
    changes: tuple[Change, ...] = ()
    left_out: int = 0
    aside: NucleusChanges = field(default_factory=NucleusChanges.of_none)
    shown: NucleusRows = field(default_factory=lambda: np.zeros(0, dtype=NUCLEUS_ROW))
    relabelled: Predictions | None = None

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(len(self.nuclei) or len(self.aside) or self.changes)

    def of(self, table: str) -> tuple[Change, ...]:
        """The changes of rows in a table."""
        return tuple(change for change in self.changes if change.table == table)

    @property
    def new_ids(self) -> npt.NDArray[np.int64]:
        """Ids of the added nuclei, in the order in which they were given."""
        return self.nuclei.ids[~self.nuclei.existed]

    @property
    def places(self) -> npt.NDArray[np.float64]:
        """(n, 2) where its nuclei are before and after it, x and y in level-0 pixels."""
        rows = np.concatenate(
            [self.nuclei.before[self.nuclei.existed], self.nuclei.after[self.nuclei.exists]]
        )
        return np.stack([rows["x"], rows["y"]], axis=1)

    @property
    def outlines(self) -> list[list[list[float]]]:
        """Corners [x, y] of the regions it touched, level-0 pixels."""
        rows = [c.after or c.before for c in self.of("regions")]
        return [read_vertices(row[1]) for row in rows if row is not None]


def reversed_changes(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The inverse of changes of rows, in reverse order."""
    return tuple(Change(c.table, c.id, c.after, c.before) for c in reversed(changes))


def class_changes(changes: Sequence[Change]) -> list[Change]:
    """Return the changes of classes."""
    return [change for change in changes if change.table == "classes"]
