"""NucleusArrays: the nuclei of a slide as arrays, with derived values cached until they change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from muse_core.array_types import Mask
from muse_core.nuclei import ClassScheme, Status
from muse_core.nuclei.store import Edit, NucleusRows, Predictions
from muse_core.slides import Region

_T = TypeVar("_T")


class NucleusArrays:
    """Rows of nuclei by ascending id, with cached masks and counts for display.

    Computing these for a million nuclei takes a while, so they are cached until rows or classes
    change, and updated in place if few rows change.
    """

    def __init__(
        self, scheme: ClassScheme, rows: NucleusRows, class_ids: Sequence[int] | None = None
    ) -> None:
        """Take rows and classes; see :meth:`set_classes`."""
        self._rows = rows
        self._version = 0
        self._computed: dict[str, Any] = {}
        self.set_classes(scheme, class_ids)

    @property
    def scheme(self) -> ClassScheme:
        """The classes."""
        return self._scheme

    @property
    def class_ids(self) -> tuple[int, ...]:
        """(K,) ids of the classes, in order; a class never changes its id."""
        return self._class_ids

    def set_classes(self, scheme: ClassScheme, class_ids: Sequence[int] | None = None) -> None:
        """Take other classes.

        Args:
            scheme: In order.
            class_ids: (K,) the ids that rows have for them; by default those of a new store.
        """
        given = class_ids if class_ids is not None else range(1, len(scheme.classes) + 1)
        self._scheme, self._class_ids = scheme, tuple(int(number) for number in given)
        self._index_by_id = np.zeros(max(self._class_ids, default=0) + 1, dtype=np.intp)
        self._index_by_id[list(self._class_ids)] = np.arange(len(self._class_ids))
        self._forget()

    def class_index(self, rows: NucleusRows) -> npt.NDArray[np.intp]:
        """(n,) the place of the class of rows among the classes.

        Rows may have a class that is gone, until they are read or shown again; theirs is any place.
        """
        return np.take(self._index_by_id, rows["class_id"], mode="clip")

    def class_name(self, class_id: int) -> str:
        """Name of a class by its id."""
        return self._scheme.names[self._class_ids.index(class_id)]

    @property
    def rows(self) -> NucleusRows:
        """Rows of all nuclei, deleted ones too."""
        return self._rows

    @rows.setter
    def rows(self, rows: NucleusRows) -> None:
        self._rows = rows
        self._forget()

    @property
    def version(self) -> int:
        """Grows with every change, so that callers can cache what they computed from the rows."""
        return self._version

    @property
    def present(self) -> Mask:
        """(N,) which rows are not deleted."""
        return self._kept("present", lambda: np.asarray(self._rows["status"] != Status.DELETED))

    @property
    def status(self) -> npt.NDArray[np.uint8]:
        """(N,) statuses of the rows, contiguous in memory."""
        return self._kept("status", lambda: self._rows["status"].copy())

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """(N,) ids of the rows, ascending; the same array until rows come or go."""
        return self._kept("id", lambda: self._rows["id"].copy())

    @property
    def xy(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(N,) x and (N,) y of the rows, contiguous in memory, which is fast."""
        return self._kept("xy", lambda: (self._rows["x"].copy(), self._rows["y"].copy()))

    def inside(self, region: Region) -> Mask:
        """(N,) which rows lie in a rectangle, deleted ones too."""
        return region.contains(*self.xy)

    def counts(self) -> npt.NDArray[np.int64]:
        """(K,) nuclei of each class."""
        return self._kept("counts", lambda: self._count(self._rows["class_id"][self.present]))

    def counts_of(self, at: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """(K,) nuclei of each class among some rows, given by their numbers."""
        return self._count(self._rows["class_id"][at[self.present[at]]])

    def index_of(self, ids: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """(n,) rows of ids."""
        return np.searchsorted(self.ids, np.asarray(ids, dtype=np.int64))

    def find(self, ids: npt.NDArray[np.int64]) -> tuple[Mask, npt.NDArray[np.intp]]:
        """(N,) which of N ids there are, and (n,) the rows of these, as :meth:`index_of`."""
        at = self.index_of(ids)
        there = at < len(self._rows)
        there[there] = self.ids[at[there]] == ids[there]
        return there, at[there]

    def rows_of(self, ids: npt.NDArray[np.int64]) -> NucleusRows:
        """Rows of those of some nuclei that there are."""
        return np.asarray(self._rows[self.find(ids)[1]])

    def compute(self) -> dict[str, Any]:
        """Compute what the display asks for first; returns it for :meth:`take`."""
        _ = self.ids, self.status, self.xy, self.counts()
        return self._computed

    def take(self, rows: NucleusRows, computed: dict[str, Any]) -> None:
        """Take other rows, and what :meth:`compute` has returned for them and the same classes."""
        self.rows, self._computed = rows, computed

    def apply(self, edit: Edit) -> None:
        """Apply an edit of the store."""
        if len(edit.nuclei):
            self.change(edit.nuclei.ids, edit.shown)
        if edit.relabelled is not None:
            self._relabel(edit.relabelled)

    def append_rows(self, rows: NucleusRows) -> None:
        """Take new nuclei, whose ids are above all others."""
        self.rows = np.concatenate([self._rows, rows])

    def change(self, ids: npt.NDArray[np.int64], fresh: NucleusRows) -> None:
        """Replace the rows of some nuclei.

        Args:
            ids: (n,) ids of the nuclei.
            fresh: (m,) new rows, by ascending id; nuclei without one are removed.
        """
        if len(fresh) == len(ids) and len(self._rows):
            at = np.minimum(self.index_of(fresh["id"]), len(self._rows) - 1)
            if (self._rows["id"][at] == fresh["id"]).all():
                self._overwrite(at, fresh)
                return
        if len(fresh) and (not len(self._rows) or ids.min() > self._rows["id"][-1]):
            self.append_rows(fresh)
            return
        others = self._rows[~np.isin(self._rows["id"], ids)]
        joined = np.concatenate([others, fresh])
        self.rows = joined[np.argsort(joined["id"], kind="stable")]

    def _relabel(self, predictions: Predictions) -> None:
        predictions.relabel(self._rows)
        self._computed.pop("counts", None)
        self._version += 1

    def _overwrite(self, at: npt.NDArray[np.intp], fresh: NucleusRows) -> None:
        before, computed = self._rows[at], self._computed
        if "present" in computed:
            computed["present"][at] = fresh["status"] != Status.DELETED
        if "status" in computed:
            computed["status"][at] = fresh["status"]
        if "counts" in computed:
            lost, won = (
                self._count(r["class_id"][r["status"] != Status.DELETED]) for r in (before, fresh)
            )
            computed["counts"] = computed["counts"] - lost + won
        if "xy" in computed:
            x, y = computed["xy"]
            x[at], y[at] = fresh["x"], fresh["y"]
        self._rows[at] = fresh
        self._version += 1

    def _count(self, class_ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        return np.bincount(self._index_by_id[class_ids], minlength=len(self._scheme.classes))

    def _forget(self) -> None:
        self._version += 1
        self._computed = {}

    def _kept(self, name: str, compute: Callable[[], _T]) -> _T:
        if name not in self._computed:
            self._computed[name] = compute()
        kept: _T = self._computed[name]
        return kept
