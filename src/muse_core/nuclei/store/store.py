"""AnnotationStore: nuclei, reviewed regions and classes of one slide, and the journal of edits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.store import (
    class_edits,
    journal,
    labels,
    nucleus_edits,
    predictions,
    region_edits,
)
from muse_core.nuclei.store.edits import Edit
from muse_core.nuclei.store.ingesting import IngestingStore
from muse_core.nuclei.store.nucleus_edits import Ids
from muse_core.nuclei.store.predictions import Predictions, checked_predictions
from muse_core.nuclei.store.reader import ODD_ROWS
from muse_core.nuclei.store.reading import shown_rows
from muse_core.nuclei.store.region_edits import Vertices
from muse_core.nuclei.store.rows import NucleusRows
from muse_core.nuclei.store.taking_over import Takeover, takeover_edit
from muse_core.nuclei.table import validate_table

ClassName = str | int
"""A class by its name or by its id, which :attr:`StoreReader.class_ids` gives."""

_SOON_MS = 150
_FOREVER_MS = 1 << 30


class AnnotationStore(IngestingStore):
    """One slide's annotations in one SQLite file.

    An edit is on disk when its method returns; the returned :class:`Edit` says what has changed.
    Undo and redo reach back to the creation of the file, across restarts. Detections added by
    :meth:`insert` are not edits and cannot be undone: they clear the redo stack, undo does not
    restore nuclei they have replaced, and a class they use stays when the edit that added it is
    undone.
    """

    _waits_ms = _FOREVER_MS

    # Edits of nuclei ------------------------------------------------------------------------

    def add(self, x: float, y: float, class_name: ClassName) -> int:
        """Add a nucleus a person has seen; returns its id."""
        return int(self.add_many([x], [y], [class_name]).new_ids[0])

    def add_many(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        class_names: Sequence[ClassName] | npt.NDArray[np.int32],
    ) -> Edit:
        """Add nuclei a person has seen, (N,) level-0 pixels and classes, as one edit."""
        xy = nucleus_edits.finite_places(x, y)

        names = np.asarray(class_names).tolist()

        def make(connection: sqlite3.Connection) -> Edit:
            different = {n: class_edits.id_of_class(connection, n) for n in dict.fromkeys(names)}
            numbers = np.array([different[name] for name in names], dtype=np.int32)
            named = {number: name for name, number in class_edits.class_ids(connection).items()}
            one = named[numbers[0]] if len(set(different.values())) == 1 else ""
            return nucleus_edits.new_nuclei_edit(connection, xy, numbers, one)

        return self._edit(make)

    def set_class(self, ids: Ids, class_name: ClassName) -> Edit:
        """Give nuclei a class; those that had it already count as confirmed."""
        number = self._reading(lambda c: class_edits.id_of_class(c, class_name))
        name = next(name for name, known in self.class_ids.items() if known == number)
        return self._change(ids, lambda r: nucleus_edits.give_class(r, number), "class", name)

    def confirm(self, ids: Ids) -> Edit:
        """Confirm predictions; nuclei that a person has changed keep their status."""
        return self._change(ids, nucleus_edits.confirm, "confirmation")

    def delete(self, ids: Ids) -> Edit:
        """Remove nuclei; the store remembers that they were rejected."""
        return self._change(ids, nucleus_edits.delete, "removal")

    def move(self, ids: Ids, x: npt.ArrayLike, y: npt.ArrayLike) -> Edit:
        """Move nuclei to x and y, (N,) level-0 pixels each, which counts as a correction."""
        xy = nucleus_edits.finite_places(x, y)
        return self._change(ids, lambda rows: nucleus_edits.move(rows, ids, xy), "move")

    def take_over(
        self,
        table: pd.DataFrame,
        classes: Iterable[NucleusClass] = (),
        regions: Iterable[tuple[Vertices, bool, str]] = (),
        replaced: Ids = (),
        instead: bool = False,
    ) -> Edit:
        """Import the content of a file as one edit; new nuclei are in the order of the table.

        Args:
            table: NucleusTable; its own ids are not used.
            classes: Those that the store lacks.
            regions: Corners, whether reviewed, and name.
            replaced: Ids of the nuclei that those of the table replace.
            instead: Whether to remove classes that have no nuclei.
        """
        brought = list(classes)
        ClassScheme(tuple(brought) if instead else (*self.classes.classes, *brought))
        file = Takeover(
            validate_table(table),
            brought,
            [region_edits.region_row(*region) for region in regions],
            [int(i) for i in replaced],
            instead,
        )
        return self._edit(lambda connection: takeover_edit(connection, file))

    # Predictions of a classifier ------------------------------------------------------------

    def apply_predictions(
        self,
        ids: npt.ArrayLike,
        class_ids: npt.ArrayLike,
        probabilities: npt.ArrayLike,
        model: str = "",
    ) -> Edit:
        """Show nuclei with the classes that a classifier gives them, as one edit.

        Other nuclei stay as they are shown. Nuclei that a person has confirmed, corrected, added or
        removed, now or later, keep the person's class. Nuclei in reviewed regions count as
        confirmed too; the caller must leave them out. Only arrays are written, no rows.

        Args:
            ids: (N,) of nuclei, each once; unknown ids are ignored.
            class_ids: (N,) ids of classes, see :attr:`class_ids`.
            probabilities: (N,) of the class, 0 to 1; kept as float16.
            model: Name of the classifier, kept with the predictions.

        Raises:
            UserError: Lengths differ, an id is there twice, the store lacks a class, a probability
                is not between 0 and 1, or the store cannot be written.
        """
        known = list(self.class_ids.values())
        arrays = checked_predictions(ids, class_ids, probabilities, known)

        def make(connection: sqlite3.Connection) -> Edit:
            whole = predictions.carried_on(self.predictions, arrays)
            number = predictions.add_revision(connection, *whole, model)
            change = predictions.going_live(connection, number)
            return Edit(labels.relearning(len(arrays[0])), changes=(change,))

        return self._edit(make)

    def drop_predictions(self) -> Edit:
        """Show all nuclei with the classes of their rows again, as one edit.

        It changes nothing where no classifier's classes are shown.
        """

        def make(connection: sqlite3.Connection) -> Edit:
            change = predictions.going_live(connection, None)
            changes = () if change.before is None else (change,)
            return Edit(labels.without_relearning(), changes=changes)

        return self._edit(make)

    # Edits of regions and classes -----------------------------------------------------------

    def add_region(self, vertices: Vertices, reviewed: bool, name: str = "") -> int:
        """Add a polygon (x, y, level-0 pixels); returns its id."""
        return self.add_regions([(vertices, reviewed, name)]).changes[0].id

    def add_regions(self, regions: Iterable[tuple[Vertices, bool, str]]) -> Edit:
        """Add polygons as one edit: corners, whether reviewed, name."""
        rows = [region_edits.region_row(*region) for region in regions]
        return self._edit(lambda connection: region_edits.new_regions_edit(connection, rows))

    def change_region(
        self, region_id: int, name: str | None = None, reviewed: bool | None = None
    ) -> Edit:
        """Rename a region, or set whether all nuclei in it have been reviewed."""
        return self._edit(lambda c: region_edits.changed_region_edit(c, region_id, name, reviewed))

    def delete_region(self, region_id: int) -> Edit:
        """Remove a region."""
        return self._edit(
            lambda connection: region_edits.removed_region_edit(connection, region_id)
        )

    def add_class(self, new: NucleusClass) -> Edit:
        """Add a class after the others."""
        return self._edit(lambda connection: class_edits.new_class_edit(connection, new))

    def change_class(self, name: str, new: NucleusClass) -> Edit:
        """Rename or recolour a class, or give it another key; its nuclei follow."""
        return self.change_classes({name: new})

    def change_classes(self, new: Mapping[str, NucleusClass]) -> Edit:
        """Change several classes, by their names, as one edit; see :meth:`change_class`."""
        return self._edit(lambda connection: class_edits.changed_classes_edit(connection, new))

    def merge_classes(self, gone: str, into: str) -> Edit:
        """Make all nuclei of one class another's, and drop the first."""
        return self._edit(
            lambda connection: class_edits.merged_classes_edit(connection, gone, into)
        )

    # Undo -----------------------------------------------------------------------------------

    def undo(self) -> Edit | None:
        """Undo the last edit; returns the changes, None if there is none."""
        return self._step(journal.undo)

    def redo(self) -> Edit | None:
        """Redo what was undone last; None if there is nothing or an edit has been made since."""
        return self._step(journal.redo)

    def step_bytes(self, again: bool) -> int:
        """Return the bytes of the journal that the next undo, or redo, reads; 0 without one."""
        return self._reading(lambda connection: journal.step_bytes(connection, again))

    # ----------------------------------------------------------------------------------------

    def _change(
        self,
        ids: Ids,
        change: Callable[[NucleusRows], None],
        what: str,
        class_name: str = "",
    ) -> Edit:
        wanted, live = np.unique(np.asarray(ids, dtype=np.int64)), self.predictions
        return self._edit(
            lambda c: nucleus_edits.changed_nuclei_edit(c, wanted, live, change, what, class_name)
        )

    def refuse_soon(self) -> None:
        """Let edits wait an instant only for another program's lock: a window stands still."""
        self._waits_ms = _SOON_MS

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._waiting(), self._db.transaction() as connection:
                yield connection
        except UserError:
            raise
        except ODD_ROWS as error:
            raise UserError(f"{self.path.name} cannot be read: {error}.") from error

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Wait for another program's lock as long as an edit is to wait."""
        with self._db.lock:
            connection = self._db.connection
            (before,) = connection.execute("PRAGMA busy_timeout").fetchone()
            connection.execute(f"PRAGMA busy_timeout = {min(before, self._waits_ms)}")
            try:
                yield
            finally:
                connection.execute(f"PRAGMA busy_timeout = {before}")

    def _edit(self, make: Callable[[sqlite3.Connection], Edit]) -> Edit:
        """Make an edit, unless it changes nothing; it is on disk when this returns."""
        before = self.predictions
        with self._transaction() as connection:
            edit = make(connection)
            if edit:
                journal.record(connection, self._annotator, edit)
        return self._seen(edit, before)

    def _step(self, step: Callable[[sqlite3.Connection, str], Edit | None]) -> Edit | None:
        before = self.predictions
        with self._transaction() as connection:
            edit = step(connection, self._annotator)
        return None if edit is None else self._seen(edit, before)

    def _seen(self, edit: Edit, before: Predictions | None) -> Edit:
        """An edit with what one sees after it.

        Args:
            edit: As it was made.
            before: What was live before it.
        """
        live = self.predictions
        rows = edit.nuclei.after[edit.nuclei.exists]
        shown = shown_rows(rows[np.argsort(rows["id"], kind="stable")], live)
        relabelled = None
        if edit.of("live_predictions"):
            relabelled = self._reading(lambda c: predictions.relabelling(c, before, live))
        elif edit.of("classes"):
            relabelled = live
        return replace(edit, shown=shown, relabelled=relabelled)
