"""NucleusBook: all nuclei of a slide in arrays, with edits that can be undone. No Qt, no viewer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from psygnal import Signal
from scipy.spatial import cKDTree

from muse_core.nuclei import STATUSES, ClassScheme, nucleus_table

PREDICTED, CONFIRMED, CORRECTED, ADDED, DELETED = range(len(STATUSES))

_ROW = np.dtype(
    [
        ("id", np.int64),
        ("x", np.float64),
        ("y", np.float64),
        ("class", np.int16),
        ("score", np.float32),
        ("status", np.uint8),
        ("model", np.int16),
    ]
)
_SAME_PLACE_PX = 1.0
_NO_MODEL = 0
Rows = npt.NDArray[Any]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Edit:
    """Rows as they were and as they are; a row that was not there before was deleted then."""

    before: Rows
    after: Rows


class NucleusBook:
    """The nuclei of one slide.

    ``changed`` is emitted after every change, ``scheme_changed`` when there are other classes.
    """

    changed = Signal()
    scheme_changed = Signal()

    def __init__(self, scheme: ClassScheme) -> None:
        self.scheme = scheme
        self.rows: Rows = np.zeros(0, dtype=_ROW)
        self._models: list[str] = [""]
        self._next_id = 1
        self._undo: list[_Edit] = []
        self._redo: list[_Edit] = []

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """(N,) which rows are not deleted."""
        return np.asarray(self.rows["status"] != DELETED)

    @property
    def touched(self) -> bool:
        """Whether a person has changed anything."""
        return bool((self.rows["status"] != PREDICTED).any())

    @property
    def pristine(self) -> bool:
        """Whether there is nothing in it, nor anything that could come back."""
        return not len(self.rows) and not self._undo and not self._redo

    @property
    def next_id(self) -> int:
        """The id the next nucleus will get."""
        return self._next_id

    def counts(self) -> npt.NDArray[np.int64]:
        """(K,) nuclei of each class."""
        classes = self.rows["class"][self.present]
        return np.bincount(classes, minlength=len(self.scheme.classes))

    def index_of(self, ids: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """(n,) rows of ids; rows are in the order of their ids."""
        return np.searchsorted(self.rows["id"], np.asarray(ids, dtype=np.int64))

    def to_table(self) -> pd.DataFrame:
        """NucleusTable of all nuclei that are not deleted."""
        rows = self.rows[self.present]
        names = np.array(self.scheme.names, dtype=object)
        return nucleus_table(
            rows["x"],
            rows["y"],
            names[rows["class"]].tolist(),
            score=rows["score"],
            status=np.array(STATUSES, dtype=object)[rows["status"]].tolist(),
            model=np.array(self._models, dtype=object)[rows["model"]].tolist(),
            ids=rows["id"],
        )

    # Detections and files ---------------------------------------------------------------------

    def adopt_scheme(self, scheme: ClassScheme) -> npt.NDArray[np.int16]:
        """Make room for another scheme's classes; returns (K,) the index here of each of them."""
        # Deleted rows and edits that can be undone hold class indices too.
        if self.pristine:
            self.scheme = scheme
        else:
            missing = [c for c in scheme.names if c not in self.scheme.names]
            if missing:
                self.scheme = _extended(self.scheme, missing)
        self.scheme_changed.emit()
        return np.array([self.scheme.index(name) for name in scheme.names], dtype=np.int16)

    def append(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        class_index: npt.ArrayLike,
        score: npt.ArrayLike,
        model: str,
        min_distance_px: float,
    ) -> int:
        """Take detections; those within ``min_distance_px`` of a nucleus a person has looked at go.

        Returns:
            Number of nuclei taken.
        """
        new = np.zeros(np.size(x), dtype=_ROW)
        new["x"], new["y"], new["class"], new["score"] = x, y, class_index, score
        new["status"], new["model"] = PREDICTED, self._model_index(model)
        # A prediction a person removed stays removed; what a person had added and taken back is
        # no verdict on the place.
        taken_back = (self.rows["status"] == DELETED) & (self.rows["model"] == _NO_MODEL)
        persons = self.rows[(self.rows["status"] != PREDICTED) & ~taken_back]
        new = new[~_near(new, persons, min_distance_px)]
        self._extend(new)
        self.changed.emit()
        return len(new)

    def load(self, table: pd.DataFrame) -> None:
        """Take the nuclei of a file, with new ids and the status they have there.

        Where both have one at the same place, the file's stands unless a person has looked at the
        one that is here; so a file may be opened twice.
        """
        lookup = self.adopt_scheme(ClassScheme.from_names(dict.fromkeys(table["class_name"])))
        names = list(dict.fromkeys(table["class_name"]))
        new = np.zeros(len(table), dtype=_ROW)
        new["x"], new["y"], new["score"] = table["x"], table["y"], table["score"]
        new["class"] = lookup[table["class_name"].map(names.index).to_numpy(dtype=np.intp)]
        new["status"] = table["status"].map(STATUSES.index)
        new["model"] = table["model"].map(self._model_index)
        persons = self.present & (self.rows["status"] != PREDICTED)
        new = new[~_near(new, self.rows[persons], _SAME_PLACE_PX)]
        doubles = (self.rows["status"] == PREDICTED) & _near(self.rows, new, _SAME_PLACE_PX)
        self.rows = self.rows[~doubles]
        self._extend(new)
        self.changed.emit()

    def take_out(self, mask: npt.NDArray[np.bool_]) -> Rows:
        """Remove rows for good and return them; not an edit."""
        gone = self.rows[mask]
        self.rows = self.rows[~mask]
        self.changed.emit()
        return gone

    def put_back(self, rows: Rows) -> None:
        """Bring back rows of :meth:`take_out`."""
        joined = np.concatenate([self.rows, rows])
        self.rows = joined[np.argsort(joined["id"], kind="stable")]
        self.changed.emit()

    def _extend(self, new: Rows) -> None:
        new["id"] = np.arange(self._next_id, self._next_id + len(new))
        self._next_id += len(new)
        self.rows = np.concatenate([self.rows, new])

    def _model_index(self, name: str) -> int:
        if name not in self._models:
            self._models.append(name)
        return self._models.index(name)

    # Edits ------------------------------------------------------------------------------------

    def add(self, x: float, y: float, class_index: int) -> int:
        """Add a nucleus a person sees; returns its id."""
        new = np.zeros(1, dtype=_ROW)
        new["x"], new["y"], new["class"], new["score"] = x, y, class_index, 1.0
        new["status"] = ADDED
        self._extend(new)
        absent = self.rows[-1:].copy()
        absent["status"] = DELETED
        self._remember(absent, self.rows[-1:].copy())
        return int(self.rows["id"][-1])

    def set_class(self, ids: npt.ArrayLike, class_index: int) -> None:
        """Give nuclei a class: corrected, or confirmed where they had it already."""
        before = self.rows[self.index_of(ids)]
        after = before.copy()
        changed = before["class"] != class_index
        after["class"] = class_index
        own = np.isin(before["status"], (ADDED, CORRECTED))
        after["status"] = np.where(own, before["status"], np.where(changed, CORRECTED, CONFIRMED))
        self._replace(before, after)

    def confirm(self, ids: npt.ArrayLike) -> None:
        """Say that predictions are right."""
        before = self.rows[self.index_of(ids)]
        after = before.copy()
        after["status"][before["status"] == PREDICTED] = CONFIRMED
        self._replace(before, after)

    def delete(self, ids: npt.ArrayLike) -> None:
        """Remove nuclei; they stay in the book as rejected."""
        before = self.rows[self.index_of(ids)]
        after = before.copy()
        after["status"] = DELETED
        self._replace(before, after)

    def move(self, ids: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike) -> None:
        """Put nuclei elsewhere; that is a correction."""
        before = self.rows[self.index_of(ids)]
        after = before.copy()
        after["x"], after["y"] = x, y
        after["status"][before["status"] != ADDED] = CORRECTED
        self._replace(before, after)

    def undo(self) -> bool:
        """Take back the last edit; False if there is none."""
        if not self._undo:
            return False
        edit = self._undo.pop()
        self._redo.append(edit)
        self._write(edit.before)
        return True

    def redo(self) -> bool:
        """Do again what was taken back; False if there is nothing."""
        if not self._redo:
            return False
        edit = self._redo.pop()
        self._undo.append(edit)
        self._write(edit.after)
        return True

    def _replace(self, before: Rows, after: Rows) -> None:
        if len(before) and (before != after).any():
            self._remember(before, after)

    def _remember(self, before: Rows, after: Rows) -> None:
        self._undo.append(_Edit(before, after))
        self._redo.clear()
        self._write(after)

    def _write(self, rows: Rows) -> None:
        """Bring rows to a state; those a later detection has replaced come back."""
        known = np.isin(rows["id"], self.rows["id"])
        fresh = self.rows.copy()
        fresh[self.index_of(rows["id"][known])] = rows[known]
        self.rows = fresh
        if not known.all():
            self.put_back(rows[~known])
        else:
            self.changed.emit()


def _near(rows: Rows, others: Rows, distance_px: float) -> npt.NDArray[np.bool_]:
    """(N,) which rows lie within a distance of one of the others."""
    if not len(rows) or not len(others):
        return np.zeros(len(rows), dtype=bool)
    tree = cKDTree(np.stack([others["x"], others["y"]], axis=1))
    distance, _ = tree.query(
        np.stack([rows["x"], rows["y"]], axis=1), distance_upper_bound=distance_px * 1.001
    )
    return np.asarray(distance <= distance_px)


def _extended(scheme: ClassScheme, names: list[str]) -> ClassScheme:
    """A scheme with further classes, which get colours and keys that are still free."""
    kept = scheme.classes
    suggested = ClassScheme.from_names([*scheme.names, *names]).classes[len(kept) :]
    free = [k for k in "123456789" if k not in {c.key for c in kept}]
    new = [replace(c, key=free[i] if i < len(free) else "") for i, c in enumerate(suggested)]
    return ClassScheme((*kept, *new))
