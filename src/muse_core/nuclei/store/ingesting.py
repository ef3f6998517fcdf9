"""IngestingStore: opens and creates stores, and adds the nuclei of detections (not edits)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.store import detection
from muse_core.nuclei.store.database import Database
from muse_core.nuclei.store.identity import SlideIdentity
from muse_core.nuclei.store.ingest import (
    Uncertainty,
    insert_classes,
    insert_rows,
    model_number,
    new_rows,
    note_ingest,
    rows_of_table,
    set_uncertainty,
)
from muse_core.nuclei.store.nucleus_edits import Ids, finite_places
from muse_core.nuclei.store.reader import StoreReader
from muse_core.nuclei.store.reading import shown_rows
from muse_core.nuclei.store.rows import UNCERTAINTY, NucleusRows
from muse_core.nuclei.table import Status, validate_table
from muse_core.ordinary import as_path


class IngestingStore(StoreReader):
    """A store to which detections come; they are no edits and are not undone."""

    def __init__(self, database: Database, annotator: str) -> None:
        super().__init__(database)
        self._annotator = annotator

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

        return cls(Database(as_path(path), create=True, fill=fill), annotator)

    @classmethod
    def open(cls, path: str | Path, annotator: str = "", read_only: bool = False) -> Self:
        """Open a store; while another program has it open, read-only.

        Raises:
            UserError: The file is missing, is no store, is damaged, or is of a newer version.
        """
        store = cls(Database(as_path(path), create=False, read_only=read_only), annotator)
        if not store.read_only:
            # The program that had begun it has died.
            store.end_detection("cancelled")
        return store

    @property
    def annotator(self) -> str:
        """Name of the person who edits."""
        return self._annotator

    def insert(
        self, table: pd.DataFrame, uncertainty: Uncertainty | None = None
    ) -> npt.NDArray[np.int64]:
        """Insert a table of detections in one transaction; its own ids are not used.

        Args:
            table: NucleusTable; its classes must be the store's.
            uncertainty: Uncertainty of the model, (N,) for each name of :data:`UNCERTAINTY`.

        Returns:
            (N,) the new ids, in the order of the table.
        """
        checked = validate_table(table)
        rows = self._insert(lambda c: rows_of_table(c, checked), uncertainty or {})
        return np.ascontiguousarray(rows["id"])

    def insert_detections(
        self,
        xy: npt.NDArray[np.float64],
        class_ids: npt.NDArray[np.int32],
        scores: npt.ArrayLike,
        model: str,
        uncertainty: Uncertainty | None = None,
    ) -> NucleusRows:
        """Insert detections in one transaction.

        Args:
            xy: (N, 2) level-0 pixels.
            class_ids: (N,) ids of the store's classes.
            scores: (N,) nucleus probabilities, 0 to 1.
            model: Name of the model.
            uncertainty: Uncertainty of the model, (N,) for each name of :data:`UNCERTAINTY`.

        Returns:
            (N,) the new rows, of NUCLEUS_ROW.

        Raises:
            UserError: A coordinate or score is no number, or the store lacks a class.
        """
        places, certain = finite_places(*xy.T), np.asarray(scores, dtype=np.float32)
        if not ((certain >= 0) & (certain <= 1)).all():
            raise UserError("A score must be between 0 and 1.")
        if not np.isin(class_ids, list(self.class_ids.values())).all():
            raise UserError("The store has not all the classes of these nuclei.")

        def rows_of(connection: sqlite3.Connection) -> NucleusRows:
            rows = new_rows(connection, len(places))
            rows["x"], rows["y"] = places.T
            rows["class_id"], rows["score"], rows["status"] = class_ids, certain, Status.PREDICTED
            rows["model_id"] = model_number(connection, model)
            return rows

        # No classifier has said anything of nuclei that are new.
        return shown_rows(self._insert(rows_of, uncertainty or {}), None)

    def _insert(
        self, make: Callable[[sqlite3.Connection], NucleusRows], uncertainty: Uncertainty
    ) -> NucleusRows:
        with self._db.transaction() as connection:
            detecting = detection.under_way(connection)
            note_ingest(connection, detecting[1] if detecting else 0.0)
            rows = make(connection)
            for name in UNCERTAINTY:
                rows[name] = uncertainty.get(name, np.nan)
            insert_rows(connection, rows)
        return rows

    def begin_detection(self, replaced: Ids, distance_px: float) -> None:
        """Hide the predictions that a detection replaces, until :meth:`end_detection`.

        Its nuclei are added by :meth:`insert` meanwhile. If the program dies before the end, the
        detection is ended as cancelled when the store is opened the next time.

        Args:
            replaced: Ids of nuclei no person has touched, and that lie in no reviewed region.
            distance_px: Up to this distance an old and a new nucleus are the same.
        """
        with self._db.transaction() as connection:
            detection.begin(connection, np.asarray(replaced, dtype=np.int64), distance_px)

    def end_detection(self, how: str) -> None:
        """End a detection as "done", "cancelled" or "failed".

        If it is done, the nuclei it replaced are dropped; if it was cancelled, they are restored
        where nothing new was found; if it failed, they are restored and the new ones removed,
        except those that a person has corrected or reviewed meanwhile.
        """
        with self._db.transaction() as connection:
            detection.end(connection, how)

    def set_uncertainty(self, ids: Ids, uncertainty: Uncertainty) -> None:
        """Store a model's uncertainty, (N,) for each name of :data:`UNCERTAINTY`; not an edit."""
        with self._db.transaction() as connection:
            set_uncertainty(connection, np.asarray(ids, dtype=np.int64), uncertainty)

    def extend_classes(self, new: Iterable[NucleusClass]) -> None:
        """Add the classes of a detection or file; not an edit."""
        added = list(new)
        ClassScheme((*self.classes.classes, *added))
        with self._db.transaction() as connection:
            insert_classes(connection, added)
