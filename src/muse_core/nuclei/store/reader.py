"""StoreReader: queries of an annotation store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import pandas as pd
from shapely.geometry.base import BaseGeometry

from muse_core.errors import UserError
from muse_core.nuclei.scheme import ClassScheme
from muse_core.nuclei.store import class_edits, detection, holdout, predictions
from muse_core.nuclei.store.class_rules import read_scheme
from muse_core.nuclei.store.database import Database, UnfinishedStoreError
from muse_core.nuclei.store.identity import SlideIdentity
from muse_core.nuclei.store.nucleus_edits import Ids
from muse_core.nuclei.store.predictions import Predictions
from muse_core.nuclei.store.reading import (
    Bounds,
    count_by_class,
    shown_rows,
    stored_nuclei,
    table_of,
)
from muse_core.nuclei.store.region_edits import read_regions
from muse_core.nuclei.store.rows import (
    NucleusRows,
    id_spans,
    nucleus_rows,
    nucleus_rows_between,
)
from muse_core.nuclei.store.sqlite_errors import damaged, is_damage
from muse_core.nuclei.table import Status

_T = TypeVar("_T")
ODD_ROWS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors raised by rows of a damaged file whose values are of the wrong type."""


class StoreReader:
    """Queries of an open store; see :class:`AnnotationStore` for edits."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._live: tuple[object, Predictions] | None = None

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

    def cancellable(self, should_cancel: Callable[[], bool]) -> AbstractContextManager[None]:
        """Context in which an edit is rolled back once ``should_cancel`` returns True.

        It then raises CancelledError. Other threads wait until the context ends.
        """
        return self._db.cancellable(should_cancel)

    @property
    def has_its_file(self) -> bool:
        """Whether no other program has deleted, moved or replaced the file since it was opened."""
        return self._db.has_its_file

    @property
    def was_let_go(self) -> bool:
        """Whether edits are refused because another program had the file, which has it no more."""
        return self._db.was_let_go

    @property
    def slide(self) -> SlideIdentity:
        """The slide the annotations belong to."""
        rows = self._rows("SELECT name, size_bytes, fingerprint FROM slide")
        if not rows:
            raise UnfinishedStoreError(f"{self.path.name} was never finished: it names no slide.")
        return SlideIdentity(*rows[0])

    @property
    def revision(self) -> tuple[int, ...]:
        """Counters that grow with every edit and every insertion."""
        query = "SELECT (SELECT coalesce(max(seq), 0) FROM journal), sum(value) FROM next_id"
        return tuple(int(number) for number in self._rows(query)[0])

    # Classes --------------------------------------------------------------------------------

    @property
    def classes(self) -> ClassScheme:
        """The classes in order."""
        return self._reading(read_scheme)

    @property
    def class_ids(self) -> dict[str, int]:
        """Id of each class by its name, in order; a class keeps its id when it is renamed."""
        return self._reading(class_edits.class_ids)

    def count(self) -> dict[str, int]:
        """Number of nuclei of each class, in the classes' order."""
        live, ids = self.predictions, self.class_ids
        counts = self._reading(lambda c: count_by_class(c, live, list(ids.values())))
        return dict(zip(ids, counts.tolist(), strict=True))

    # Nuclei ---------------------------------------------------------------------------------

    @property
    def n_rows(self) -> int:
        """Number of nuclei, deleted ones included."""
        return int(self._rows("SELECT count(*) FROM nuclei")[0][0])

    def rows(self, ids: Ids | None = None) -> NucleusRows:
        """Nuclei as an array of :data:`NUCLEUS_ROW`, by id, deleted ones included.

        Args:
            ids: Which; those that are not there are left out. None is all.
        """
        wanted = None if ids is None else np.asarray(ids, dtype=np.int64).reshape(-1)
        return self._shown(lambda connection: nucleus_rows(connection, wanted))

    def rows_between(self, first: int, last: int) -> NucleusRows:
        """Those of :meth:`rows` whose ids lie in a span, inclusive."""
        return self._shown(lambda connection: nucleus_rows_between(connection, first, last))

    def id_spans(self, count: int) -> list[tuple[int, int]]:
        """Spans of ids that all nuclei lie in, for several processes to read them side by side."""
        return self._reading(lambda connection: id_spans(connection, count))

    def _shown(self, read: Callable[[sqlite3.Connection], NucleusRows]) -> NucleusRows:
        live = self.predictions
        rows = shown_rows(self._reading(read), live)
        known = np.isin(rows["class_id"], list(self.class_ids.values()))
        if not known.all() or (rows["status"] >= len(Status)).any():
            raise damaged(self.path.name, "a nucleus has no class or no status")
        return rows

    def nuclei(self, bounds: Bounds | None = None, with_deleted: bool = False) -> pd.DataFrame:
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

    def model_number(self, name: str) -> int | None:
        """The number that :meth:`rows` has for a model, None where no nucleus is of it."""
        found = self._rows("SELECT id FROM models WHERE name = :name", {"name": name})
        return int(found[0][0]) if found else None

    @property
    def predictions(self) -> Predictions | None:
        """Return the live predictions of a classifier, or None."""

        def read(connection: sqlite3.Connection) -> Predictions | None:
            number = predictions.live_revision(connection)
            if number is None:
                return None
            aliases = tuple(connection.execute("SELECT id, stands_for FROM class_alias"))
            if self._live is None or self._live[0] != (number, aliases):
                self._live = (number, aliases), predictions.read_revision(connection, number)
            return self._live[1]

        return self._reading(read)

    # Regions and detections -----------------------------------------------------------------

    def regions(self) -> pd.DataFrame:
        """Regions: id, name, vertices (list of [x, y]), reviewed (bool)."""
        return self._reading(read_regions)

    def holdout_by_region(self) -> dict[int, bool]:
        """Return, by id of each region that was ever reviewed, whether it is in the holdout."""
        return self._reading(holdout.read_holdout)

    def reviewed_areas(self) -> tuple[BaseGeometry, ...]:
        """Areas of the reviewed regions, level-0 pixels; they may overlap."""
        return self._reading(detection.reviewed_areas)

    @property
    def detecting(self) -> bool:
        """Whether a detection was begun and has not ended."""
        return self._reading(detection.in_progress)

    @property
    def first_found(self) -> int | None:
        """Lowest id of nuclei added since the running detection began; None without one."""
        begun = self._reading(detection.under_way)
        return None if begun is None else begun[0]

    # ----------------------------------------------------------------------------------------

    def _rows(self, query: str, values: Mapping[str, object] | None = None) -> list[Any]:
        return self._reading(lambda connection: connection.execute(query, values or {}).fetchall())

    def _reading(self, read: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            with self._db.lock:
                return read(self._db.connection)
        except UserError:
            raise
        except (sqlite3.Error, *ODD_ROWS) as error:
            if is_damage(error):
                raise damaged(self.path.name, str(error)) from error
            raise UserError(f"{self.path.name} cannot be read: {error}.") from error
