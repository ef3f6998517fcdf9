"""AnnotationStore: nuclei, reviewed regions and classes of one slide, and the journal of edits."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from shapely.geometry.base import BaseGeometry

from muse_core.errors import UserError
from muse_core.nuclei.outlines import read_vertices
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.store import detection, holdout, journal, labels, predictions
from muse_core.nuclei.store.class_rules import read_scheme
from muse_core.nuclei.store.database import Database, UnfinishedStoreError
from muse_core.nuclei.store.edits import COLUMNS, UNCERTAINTY, Change, Edit, Row
from muse_core.nuclei.store.identity import SlideIdentity
from muse_core.nuclei.store.ingest import (
    Uncertainty,
    insert_classes,
    insert_table,
    model_numbers,
    note_ingest,
)
from muse_core.nuclei.store.predictions import Predictions, checked_predictions
from muse_core.nuclei.store.reading import (
    Bounds,
    count_by_class,
    shown_rows,
    stored_nuclei,
    table_of,
)
from muse_core.nuclei.store.rows import (
    NucleusRows,
    nucleus_rows,
    read_row,
    read_rows,
    take_ids,
)
from muse_core.nuclei.store.taking_over import Takeover, takeover_changes
from muse_core.nuclei.table import STATUSES, Status, validate_table

Ids = Sequence[int] | npt.NDArray[np.int64]
Vertices = Iterable[tuple[float, float]]
_T = TypeVar("_T")
_ODD_ROWS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What comes of rows of a damaged file that hold other kinds of values than their table has."""


class AnnotationStore:
    """One slide's annotations in one SQLite file.

    An edit is on disk when its method returns. Undo and redo reach back to the file's beginning,
    over restarts. Detections put in by :meth:`insert` are not edits and are not undone: they end
    what could be redone, undo brings back nothing that they have replaced, and a class that they
    have come to use stays when the edit that made it is undone.
    """

    def __init__(self, database: Database, annotator: str) -> None:
        self._db = database
        self._annotator = annotator
        self._live: tuple[object, Predictions] | None = None

    @classmethod
    def create(
        cls, path: str | Path, slide: SlideIdentity, classes: ClassScheme, annotator: str = ""
    ) -> Self:
        """Make a new store.

        Raises:
            UserError: There are no classes, the file exists already or cannot be written.
        """
        if not classes.classes:
            raise UserError("Annotations need at least one class of nuclei.")

        def fill(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO slide VALUES (?, ?, ?)",
                (slide.name, slide.size_bytes, slide.fingerprint),
            )
            insert_classes(connection, classes.classes)

        return cls(Database(Path(path), create=True, fill=fill), annotator)

    @classmethod
    def open(cls, path: str | Path, annotator: str = "", read_only: bool = False) -> Self:
        """Open a store; while another program has it open, read-only.

        Raises:
            UserError: The file is missing, is no store, is damaged, or is of a newer version.
        """
        store = cls(Database(Path(path), create=False, read_only=read_only), annotator)
        if not store.read_only:
            # The program that had begun it has died.
            store.end_detection("cancelled")
        return store

    @property
    def annotator(self) -> str:
        """Who edits through this opening."""
        return self._annotator

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def path(self) -> Path:
        """The file."""
        return self._db.path

    @property
    def read_only(self) -> bool:
        """Whether edits are refused: another program holds the file, or it cannot be written."""
        return self._db.read_only

    def require_writable(self) -> None:
        """Raises UserError, which says why, where edits are refused."""
        self._db.require_writable()

    @property
    def slide(self) -> SlideIdentity:
        """The slide the annotations belong to."""
        rows = self._rows("SELECT name, size_bytes, fingerprint FROM slide")
        if not rows:
            raise UnfinishedStoreError(f"{self.path.name} was never finished: it names no slide.")
        return SlideIdentity(*rows[0])

    @property
    def classes(self) -> ClassScheme:
        """The classes in order."""
        return self._reading(read_scheme)

    @property
    def class_numbers(self) -> tuple[int, ...]:
        """(K,) the numbers that :meth:`rows` has for the classes, in order."""
        return tuple(r[0] for r in self._rows("SELECT id FROM classes ORDER BY position, id"))

    @property
    def class_ids(self) -> dict[str, int]:
        """Id of each class by its name, in order; a class keeps its id when it is renamed."""
        return dict(self._rows("SELECT name, id FROM classes ORDER BY position, id"))

    def model_number(self, name: str) -> int | None:
        """The number that :meth:`rows` has for a model, None where no nucleus is of it."""
        found = self._rows("SELECT id FROM models WHERE name = :name", {"name": name})
        return int(found[0][0]) if found else None

    @property
    def revision(self) -> tuple[int, ...]:
        """Grows with every edit and every insertion."""
        return self._rows(
            "SELECT (SELECT coalesce(max(seq), 0) FROM journal), sum(value) FROM next_id"
        )[0]

    # Nuclei ---------------------------------------------------------------------------------

    def insert(
        self, table: pd.DataFrame, uncertainty: Uncertainty | None = None
    ) -> npt.NDArray[np.int64]:
        """Put in detections in one transaction; the table's own ids are not used.

        Args:
            table: NucleusTable; its classes must be the store's.
            uncertainty: How unsure the model was, by the names of :data:`UNCERTAINTY`, (N,) each.

        Returns:
            (N,) the new ids, in the order of the table.
        """
        table = validate_table(table)
        with self._db.transaction() as connection:
            detecting = detection.under_way(connection)
            note_ingest(connection, detecting[1] if detecting else 0.0)
            return insert_table(connection, table, uncertainty or {})

    def take_over(
        self,
        table: pd.DataFrame,
        classes: Iterable[NucleusClass] = (),
        regions: Iterable[tuple[Vertices, bool, str]] = (),
        replaced: Ids = (),
        instead: bool = False,
    ) -> npt.NDArray[np.int64]:
        """Take over what a file holds, as one edit.

        Args:
            table: NucleusTable; its own ids are not used.
            classes: Those that the store lacks.
            regions: Corners, whether reviewed, and name.
            replaced: Ids of the nuclei whose places those of the table take.
            instead: Whether classes without nuclei make way for the new ones.

        Returns:
            (N,) the new ids, in the order of the table.
        """
        brought = list(classes)
        ClassScheme(tuple(brought) if instead else (*self.classes.classes, *brought))
        file = Takeover(
            validate_table(table),
            brought,
            [_region_row(vertices, reviewed, name) for vertices, reviewed, name in regions],
            [int(i) for i in replaced],
            instead,
        )
        with self._db.transaction() as connection:
            changes = takeover_changes(connection, file)
            if changes:
                self._record(connection, labels.takeover(file), changes)
        new = [c.id for c in changes if c.table == "nuclei" and c.before is None]
        return np.array(new, dtype=np.int64)

    def begin_detection(self, replaced: Ids, distance_px: float) -> None:
        """Take the predictions a detection replaces out of sight, until :meth:`end_detection`.

        What it finds is put in by :meth:`insert` meanwhile. If the program dies before the end, the
        next to open the store ends it as cancelled.

        Args:
            replaced: Ids of nuclei no person has touched, and that lie in no reviewed region.
            distance_px: Up to this distance an old and a new nucleus are the same.
        """
        with self._db.transaction() as connection:
            detection.begin(connection, np.asarray(replaced, dtype=np.int64), distance_px)

    @property
    def detecting(self) -> bool:
        """Whether a detection was begun and has not ended."""
        return self._reading(detection.in_progress)

    @property
    def first_found(self) -> int | None:
        """Id from which on nuclei came since the detection in progress began; None without one."""
        begun = self._reading(detection.under_way)
        return None if begun is None else begun[0]

    def end_detection(self, how: str) -> None:
        """Settle a detection: "done", "cancelled" or "failed".

        Done, what it replaced is dropped. Cancelled, that comes back wherever nothing new was
        found. Failed, what was found goes, but for what a person has corrected or reviewed
        meanwhile.
        """
        with self._db.transaction() as connection:
            detection.end(connection, how)

    def rows(self, ids: Ids | None = None) -> NucleusRows:
        """Nuclei as an array of :data:`NUCLEUS_ROW`, by id, deleted ones included.

        Args:
            ids: Which; those that are not there are left out. None is all.
        """
        wanted = None if ids is None else [int(i) for i in ids]
        live = self.predictions
        rows = shown_rows(self._reading(lambda c: nucleus_rows(c, wanted)), live)
        known = np.isin(rows["class_id"], self.class_numbers)
        if not known.all() or (rows["status"] >= len(STATUSES)).any():
            raise UserError(f"{self.path.name} is damaged: a nucleus has no class or no status.")
        return rows

    def set_uncertainty(self, ids: Ids, uncertainty: Uncertainty) -> None:
        """Keep how unsure a model is of nuclei, by the names of `UNCERTAINTY`; not an edit."""
        names = [name for name in UNCERTAINTY if name in uncertainty]
        columns = [np.asarray(uncertainty[name], dtype=np.float64).tolist() for name in names]
        with self._db.transaction() as connection:
            connection.executemany(
                f"UPDATE nuclei SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ?",
                zip(*columns, [int(i) for i in ids], strict=True),
            )

    def nuclei(
        self,
        bounds: Bounds | None = None,
        with_deleted: bool = False,
    ) -> pd.DataFrame:
        """Nuclei as a NucleusTable, by id.

        Args:
            bounds: x0, y0, x1, y1 in level-0 pixels, inclusive; None is the whole slide.
            with_deleted: Whether those a person has removed are included.
        """
        live = self.predictions

        def read(connection: sqlite3.Connection) -> pd.DataFrame:
            stored = stored_nuclei(connection, bounds, with_deleted)
            return table_of(connection, shown_rows(stored, live))

        return self._reading(read)

    def count(self) -> dict[str, int]:
        """Number of nuclei of each class, in the classes' order."""
        live, numbers, names = self.predictions, self.class_numbers, self.classes.names
        counts = self._reading(lambda connection: count_by_class(connection, live, numbers))
        return dict(zip(names, counts.tolist(), strict=True))

    # Predictions of a classifier ---------------------------------------------------------------

    @property
    def predictions(self) -> Predictions | None:
        """What a classifier says of the nuclei now, None where nothing is live."""

        def read(connection: sqlite3.Connection) -> Predictions | None:
            number = predictions.live_revision(connection)
            if number is None:
                return None
            aliases = tuple(connection.execute("SELECT id, stands_for FROM class_alias"))
            if self._live is None or self._live[0] != (number, aliases):
                self._live = (number, aliases), predictions.read_revision(connection, number)
            return self._live[1]

        return self._reading(read)

    def apply_predictions(
        self,
        ids: npt.ArrayLike,
        class_ids: npt.ArrayLike,
        probabilities: npt.ArrayLike,
        model: str = "",
    ) -> Edit:
        """Show nuclei with the classes that a classifier gives them, as one edit.

        What was shown of an earlier classifier makes way as a whole. A nucleus that a person has
        confirmed, corrected, added or removed, now or later, keeps what the person said. Takes the
        time of writing the arrays, not of writing as many rows.

        Args:
            ids: (N,) of nuclei, each once; those that are not there (any more) do not matter.
            class_ids: (N,) ids of classes, see :attr:`class_ids`.
            probabilities: (N,) of the class, 0 to 1; kept as float16.
            model: Name of the classifier, kept with the predictions.

        Raises:
            UserError: Lengths differ, an id is there twice, the store lacks a class, a probability
                is not between 0 and 1, or the store cannot be written.
        """
        arrays = checked_predictions(ids, class_ids, probabilities, self.class_numbers)
        with self._db.transaction() as connection:
            number = predictions.add_revision(connection, *arrays, model)
            label = labels.relearning(len(arrays[0]))
            return self._go_live(connection, label, number)

    def drop_predictions(self) -> Edit | None:
        """Show all nuclei with the classes of their rows again, as one edit.

        Returns:
            None where no classifier's classes are shown.
        """
        with self._db.transaction() as connection:
            if predictions.live_revision(connection) is None:
                return None
            return self._go_live(connection, labels.without_relearning(), None)

    def _go_live(self, connection: sqlite3.Connection, label: str, number: int | None) -> Edit:
        change = predictions.going_live(connection, number)
        edit = self._record(connection, label, [change])
        if number is not None:
            predictions.forget_unreachable(connection, number)
        return edit

    # Edits of nuclei ------------------------------------------------------------------------

    def add(self, x: float, y: float, class_name: str) -> int:
        """Add a nucleus a person has seen; returns its id."""
        return self.add_many([x], [y], [class_name])[0]

    def add_many(self, x: npt.ArrayLike, y: npt.ArrayLike, class_names: Sequence[str]) -> list[int]:
        """Add nuclei a person has seen, (N,) level-0 pixels and classes, as one edit.

        Returns:
            Their ids.
        """
        xy = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)], axis=1)
        if not np.isfinite(xy).all():
            raise UserError("A nucleus needs finite coordinates.")
        numbers = {name: self._class_id(name) for name in class_names}
        if not len(xy):
            return []
        with self._db.transaction() as connection:
            model = int(model_numbers(connection, pd.Series([""]))[0])
            first = take_ids(connection, "nuclei", len(xy))
            rows = [
                (*place, numbers[name], 1.0, int(Status.ADDED), model)
                for place, name in zip(xy.tolist(), class_names, strict=True)
            ]
            changes = [Change("nuclei", first + i, None, row) for i, row in enumerate(rows)]
            self._record(connection, labels.added(len(xy), list(numbers)), changes)
        return [change.id for change in changes]

    def set_class(self, ids: Ids, class_name: str) -> None:
        """Give nuclei a class; those that had it already count as confirmed."""
        class_id = self._class_id(class_name)

        def corrected(_: int, row: Row) -> Row:
            x, y, old, score, status, model = row
            if status == int(Status.ADDED):
                return (x, y, class_id, score, status, model)
            agreed = old == class_id and status != Status.CORRECTED
            new = Status.CONFIRMED if agreed else Status.CORRECTED
            return (x, y, class_id, score, int(new), model)

        self._change_nuclei(ids, corrected, "class", class_name)

    def confirm(self, ids: Ids) -> None:
        """Say that predictions are right; what a person has set already stays as it is."""

        def confirmed(_: int, row: Row) -> Row:
            status = int(Status.CONFIRMED) if row[4] == Status.PREDICTED else row[4]
            return (*row[:4], status, row[5])

        self._change_nuclei(ids, confirmed, "confirmation")

    def delete(self, ids: Ids) -> None:
        """Remove nuclei; the store remembers that they were rejected."""
        self._change_nuclei(ids, lambda _, row: (*row[:4], int(Status.DELETED), row[5]), "removal")

    def move(self, ids: Ids, x: npt.ArrayLike, y: npt.ArrayLike) -> None:
        """Put nuclei elsewhere, (N,) level-0 pixels each; that is a correction."""
        xs, ys = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
        if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
            raise UserError("A nucleus needs finite coordinates.")
        place = {int(i): xy for i, *xy in zip(ids, xs.tolist(), ys.tolist(), strict=True)}

        def moved(number: int, row: Row) -> Row:
            status = row[4] if row[4] == int(Status.ADDED) else int(Status.CORRECTED)
            return (*place[number], *row[2:4], status, row[5])

        self._change_nuclei(ids, moved, "move")

    # Regions --------------------------------------------------------------------------------

    def add_region(self, vertices: Vertices, reviewed: bool, name: str = "") -> int:
        """Add a polygon (x, y, level-0 pixels); returns its id."""
        return self.add_regions([(vertices, reviewed, name)])[0]

    def add_regions(self, regions: Iterable[tuple[Vertices, bool, str]]) -> list[int]:
        """Add polygons as one edit: corners, whether reviewed, name; returns their ids."""
        rows = [_region_row(vertices, reviewed, name) for vertices, reviewed, name in regions]
        if not rows:
            return []
        with self._db.transaction() as connection:
            first = take_ids(connection, "regions", len(rows))
            changes = [Change("regions", first + i, None, row) for i, row in enumerate(rows)]
            self._record(connection, labels.new_regions([str(row[0]) for row in rows]), changes)
        return [change.id for change in changes]

    def change_region(
        self, region_id: int, name: str | None = None, reviewed: bool | None = None
    ) -> None:
        """Rename a region, or say whether all nuclei in it have been looked at."""
        with self._db.transaction() as connection:
            before = read_row(connection, "regions", region_id)
            after = (
                before[0] if name is None else name,
                before[1],
                before[2] if reviewed is None else int(reviewed),
            )
            if after != before:
                label = labels.changed_region((before[0], before[2]), (after[0], after[2]))
                self._record(connection, label, [Change("regions", region_id, before, after)])

    def delete_region(self, region_id: int) -> None:
        """Remove a region."""
        with self._db.transaction() as connection:
            before = read_row(connection, "regions", region_id)
            change = Change("regions", region_id, before, None)
            self._record(connection, labels.removed_region(before[0]), [change])

    def regions(self) -> pd.DataFrame:
        """Regions: id, name, vertices (list of [x, y]), reviewed (bool)."""
        rows = self._rows("SELECT id, name, vertices, reviewed FROM regions ORDER BY id")
        return pd.DataFrame(
            [(i, name, read_vertices(v), bool(r)) for i, name, v, r in rows],
            columns=["id", "name", "vertices", "reviewed"],
        )

    def holdout_by_region(self) -> dict[int, bool]:
        """Of each region that was ever reviewed, by its id, whether it is in the holdout."""
        return self._reading(holdout.read_holdout)

    def reviewed_areas(self) -> tuple[BaseGeometry, ...]:
        """Areas of the reviewed regions, level-0 pixels; they may overlap."""
        return self._reading(detection.reviewed_areas)

    # Classes --------------------------------------------------------------------------------

    def add_class(self, new: NucleusClass) -> None:
        """Add a class after the others."""
        ClassScheme((*self.classes.classes, new))
        with self._db.transaction() as connection:
            number = take_ids(connection, "classes", 1)
            row = (new.name, new.color, new.key, number)
            self._record(
                connection, f"new class {new.name}", [Change("classes", number, None, row)]
            )

    def extend_classes(self, new: Iterable[NucleusClass]) -> None:
        """Add the classes that detections or a file bring; like these it is no edit."""
        added = list(new)
        ClassScheme((*self.classes.classes, *added))
        with self._db.transaction() as connection:
            insert_classes(connection, added)

    def change_class(self, name: str, new: NucleusClass) -> None:
        """Rename or recolour a class, or give it another key; its nuclei follow."""
        self.change_classes({name: new})

    def change_classes(self, new: Mapping[str, NucleusClass]) -> None:
        """Change several classes, by their names, as one edit; see :meth:`change_class`."""
        ClassScheme(tuple(new.get(c.name, c) for c in self.classes.classes))
        numbers = {name: self._class_id(name) for name in new}
        with self._db.transaction() as connection:
            changes = []
            for name, entry in new.items():
                before = read_row(connection, "classes", numbers[name])
                after = (entry.name, entry.color, entry.key, before[3])
                if after != before:
                    changes.append(Change("classes", numbers[name], before, after))
            if changes:
                self._record(connection, labels.changed_classes(list(new)), changes)

    def merge_classes(self, gone: str, into: str) -> None:
        """Make all nuclei of one class another's, and drop the first."""
        source, target = self._class_id(gone), self._class_id(into)
        if source == target:
            raise UserError("A class cannot be merged into itself.")
        with self._db.transaction() as connection:
            rows = connection.execute(
                f"SELECT id, {', '.join(COLUMNS['nuclei'])} FROM nuclei WHERE class_id = ?",
                (source,),
            ).fetchall()
            changes = [
                Change("nuclei", r[0], tuple(r[1:]), (*r[1:3], target, *r[4:])) for r in rows
            ]
            before = read_row(connection, "classes", source)
            changes.append(Change("classes", source, before, None))
            renamed = predictions.merge_class(connection, source, target)
            if renamed is not None:
                changes.append(predictions.going_live(connection, renamed))
            self._record(connection, labels.merged_classes(gone, into, len(rows)), changes)

    # Undo -----------------------------------------------------------------------------------

    def undo(self) -> Edit | None:
        """Take back the last edit; returns what that changed, None if there is none."""
        with self._db.transaction() as connection:
            return journal.undo(connection, self._annotator)

    def redo(self) -> Edit | None:
        """Do again what was taken back last; None if there is nothing or an edit came between."""
        with self._db.transaction() as connection:
            return journal.redo(connection, self._annotator)

    # ----------------------------------------------------------------------------------------

    def _change_nuclei(
        self, ids: Ids, change: Callable[[int, Row], Row], what: str, class_name: str = ""
    ) -> None:
        unique = list(dict.fromkeys(int(i) for i in ids))
        live = self.predictions
        with self._db.transaction() as connection:
            changes = []
            for number, before in read_rows(connection, "nuclei", unique).items():
                seen = _seen(number, before, live)
                after = change(number, seen)
                if after != seen:
                    changes.append(Change("nuclei", number, before, after))
            if changes:
                self._record(connection, labels.of_nuclei(what, len(changes), class_name), changes)

    def _record(
        self, connection: sqlite3.Connection, label: str, changes: Sequence[Change]
    ) -> Edit:
        return journal.record(connection, self._annotator, label, changes)

    def _class_ids(self) -> dict[str, int]:
        return dict(self._rows("SELECT name, id FROM classes"))

    def _class_id(self, name: str) -> int:
        self.classes.index(name)
        return self._class_ids()[name]

    def _rows(self, query: str, values: Mapping[str, object] | None = None) -> list[Row]:
        return self._reading(lambda connection: connection.execute(query, values or {}).fetchall())

    def _reading(self, read: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return read(self._db.connection)
        except UserError:
            raise
        except (sqlite3.Error, *_ODD_ROWS) as error:
            raise UserError(f"{self.path.name} cannot be read: {error}.") from error


def _seen(number: int, row: Row, live: Predictions | None) -> Row:
    if live is None or row[4] != Status.PREDICTED:
        return row
    found, at = live.find(np.array([number]))
    return (*row[:2], int(live.class_ids[at[0]]), *row[3:]) if found[0] else row


def _region_row(vertices: Vertices, reviewed: bool, name: str) -> Row:
    polygon = [[float(x), float(y)] for x, y in vertices]
    if len(polygon) < 3 or not np.isfinite(polygon).all():
        raise UserError("A region needs at least three finite corners.")
    return (name, json.dumps(polygon), int(reviewed))
