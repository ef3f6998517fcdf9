"""SlideAnnotations: the arrays of a slide's nuclei, kept in step with the store's file. No Qt."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib import recfunctions
from psygnal import Signal
from shapely import box

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NucleusFile, Status, empty_table, nucleus_table
from muse_core.nuclei.outlines import inside_any
from muse_core.nuclei.recorded_slide import RecordedSlide
from muse_core.nuclei.store import NUCLEUS_ROW, AnnotationStore, Edit, NucleusRows, StorePlace
from muse_core.nuclei.store.store import Vertices
from muse_core.nuclei.table import ONE_PLACE_PX
from muse_core.slides import Region
from napari_muse.annotations.file_takeover import near, require_regions, taken_of
from napari_muse.annotations.nucleus_arrays import Mask, NucleusArrays

_NO_MODEL = ""


class SlideAnnotations(NucleusArrays):
    """The nuclei of one slide, as the screen needs them.

    What a person does is on disk before a method returns; the arrays follow the file. The file is
    made with the first nucleus or class, so that merely looking at a slide leaves nothing behind.
    ``changed`` is emitted after every change of nuclei, ``scheme_changed`` and ``regions_changed``
    after those of classes and regions. Methods that change something raise UserError where the file
    cannot be written, another window has it open, or there is no slide.
    """

    changed = Signal()
    scheme_changed = Signal()
    regions_changed = Signal()
    settled = Signal()
    """A person has said of nuclei what they are; not when that is taken back or done again."""

    def __init__(
        self,
        scheme: ClassScheme,
        place: StorePlace | None = None,
        refusal: str = "Open a slide first: File > Open, or drop it on the window.",
    ) -> None:
        """Open what there is.

        Args:
            scheme: Classes while there is no file.
            place: The slide's store; None while no slide is open, or its store cannot be used.
            refusal: Without a place, the sentence that says why nothing can be kept.

        Raises:
            UserError: The slide's store cannot be read.
        """
        super().__init__(scheme, _indexed(np.zeros(0, dtype=NUCLEUS_ROW), []))
        self._place = place
        self._refusal = refusal
        self._store: AnnotationStore | None = place.open(_annotator()) if place else None
        self._revision: tuple[int, ...] = ()
        self._resting = False
        if self._store is not None:
            self._reload(self._store)

    # The file ---------------------------------------------------------------------------------

    @property
    def read_only(self) -> bool:
        """Whether one can only look: another window has the file, or it cannot be written."""
        return self._store is not None and not self._resting and self._store.read_only

    @property
    def store(self) -> AnnotationStore:
        """The open file, which is made if there is none."""
        if self._store is not None and not self._resting:
            return self._store
        if self._store is None:
            self._store = self._require_place().create(self.scheme, _annotator())
        else:
            self._store = AnnotationStore.open(self._store.path, _annotator())
        self._resting = False
        if self._store.revision != self._revision:
            self._reload(self._store)
        return self._store

    @property
    def has_file(self) -> bool:
        """Whether anything has been kept yet."""
        return self._store is not None

    def _require_place(self) -> StorePlace:
        if self._place is None:
            raise UserError(self._refusal)
        return self._place

    @property
    def recorded_slide(self) -> RecordedSlide | None:
        """What files of nuclei say of the slide; None without one."""
        return None if self._place is None else self._place.identity.recorded

    def require_writable(self) -> None:
        """Make sure that edits can be kept; raises UserError where they cannot.

        Where there is no file yet, none is made.
        """
        self._require_place()
        if self.has_file:
            self.store.require_writable()

    def rest(self) -> None:
        """Let go of the file until it is needed again."""
        if self._store is not None and not self._resting:
            self._revision = self._store.revision
            self._store.close()
            self._resting = True

    # Looking ----------------------------------------------------------------------------------

    @property
    def pristine(self) -> bool:
        """Whether nothing depends on the classes yet."""
        return self._store is None

    def to_table(self) -> pd.DataFrame:
        """NucleusTable of all nuclei that are not deleted."""
        return self.store.nuclei() if self._store is not None else empty_table()

    def regions(self) -> pd.DataFrame:
        """Regions: id, name, vertices (list of [x, y]), reviewed (bool)."""
        if self._store is None:
            return pd.DataFrame(columns=["id", "name", "vertices", "reviewed"])
        return self.store.regions()

    # Detections and files ---------------------------------------------------------------------

    def adopt_scheme(self, scheme: ClassScheme) -> npt.NDArray[np.int16]:
        """Make room for another scheme's classes; returns (K,) the index here of each of them."""
        if not scheme.classes:
            # A file of regions alone names none; those that are known already stay.
            return np.zeros(0, dtype=np.int16)
        if self.pristine:
            self.scheme = scheme
        else:
            ours = self.scheme
            missing = ours.joined(scheme.classes).classes[len(ours.classes) :]
            if missing:
                self.store.extend_classes(missing)
                self.scheme = self.store.classes
        self.scheme_changed.emit()
        return np.array([self.scheme.index(name) for name in scheme.names], dtype=np.int16)

    def begin_detection(self, mask: Mask, distance_px: float) -> None:
        """Take the predictions of a mask out of sight until :meth:`end_detection`.

        Args:
            mask: (N,) rows a detection looks at anew; of them only predictions go, and none in
                reviewed regions, where a person has looked at them.
            distance_px: Up to this distance two nuclei are the same.
        """
        gone = mask & (self.rows["status"] == Status.PREDICTED)
        reviewed = self.store.reviewed_areas()
        gone &= ~inside_any(reviewed, self.rows["x"], self.rows["y"])
        self.store.begin_detection(self.rows["id"][gone], distance_px)
        self.rows = self.rows[~gone]
        self.changed.emit()

    def append(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        class_index: npt.ArrayLike,
        score: npt.ArrayLike,
        model: str,
        min_distance_px: float,
        **uncertainty: npt.ArrayLike,
    ) -> int:
        """Take detections, but for those where a person has looked.

        These lie in a reviewed region, or within ``min_distance_px`` of a nucleus that a person has
        dealt with or that a reviewed region has.

        Args:
            x: (n,) level-0 pixels.
            y: (n,) level-0 pixels.
            class_index: (n,) index into the scheme.
            score: (n,) nucleus probability, 0 to 1.
            model: Name of the model.
            min_distance_px: Up to this distance two nuclei are the same.
            **uncertainty: How unsure the model was, see the store; (n,) each.

        Returns:
            Number of nuclei taken.
        """
        xy = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)], axis=1)
        new = ~self._barred(xy, min_distance_px)
        names = np.array(self.scheme.names, dtype=object)[np.asarray(class_index, dtype=np.intp)]
        table = nucleus_table(
            xy[new, 0], xy[new, 1], names[new].tolist(), np.asarray(score)[new], model=model
        )
        kept = {name: np.asarray(values)[new] for name, values in uncertainty.items()}
        self._extend(self.store.insert(table, kept))
        return int(new.sum())

    def end_detection(self, how: str) -> None:
        """Settle a detection that was begun: "done", "cancelled" or "failed"; see the store."""
        self.store.end_detection(how)
        if how != "done":
            self._reload(self.store)
            self.changed.emit()

    def set_uncertainty(self, ids: npt.ArrayLike, **uncertainty: npt.ArrayLike) -> None:
        """Keep how unsure a model is of nuclei, see the store; not an edit."""
        chosen = np.asarray(ids, dtype=np.int64)
        self.store.set_uncertainty(chosen, uncertainty)
        self._follow(chosen)

    def load(self, content: NucleusFile) -> int:
        """Take the nuclei, regions and classes of a file, as one edit.

        Nuclei get new ids, and keep the status they have. Where both have one at the same place,
        the file's stands unless a person has looked at the one that is here; so a file may be
        opened twice.

        Returns:
            Number of nuclei taken.

        Raises:
            UserError: A detection is running, which would take the nuclei for its own; or there are
                more regions than a person can have drawn.
        """
        self.require_writable()
        require_regions(content)
        if self.has_file and self.store.detecting:
            raise UserError(
                "A detection is running on this slide; take nuclei over when it has ended."
            )
        if content.table.empty and not content.regions:
            return 0
        theirs, first = content.classes(), self.pristine
        store = self.store
        taken = taken_of(content, self, self.regions())
        instead = first and bool(theirs.classes)
        ours = ClassScheme(()) if instead else self.scheme
        ids = store.take_over(
            taken.table,
            ours.joined(theirs.classes).classes[len(ours.classes) :],
            ((r.vertices, r.reviewed, r.name) for r in taken.regions),
            taken.replaced,
            instead,
        )
        if self.scheme != store.classes:
            self._reload(store)
            self.scheme_changed.emit()
            self.changed.emit()
        elif len(ids):
            self._follow(np.concatenate([taken.replaced, ids]))
        if taken.regions:
            self.regions_changed.emit()
        return len(ids)

    # Edits ------------------------------------------------------------------------------------

    def add(self, x: float, y: float, class_index: int) -> int:
        """Add a nucleus a person sees; returns its id."""
        number = self.store.add(x, y, self.scheme.names[class_index])
        self._extend([number])
        self.settled.emit()
        return number

    def add_many(self, x: npt.ArrayLike, y: npt.ArrayLike, class_index: npt.ArrayLike) -> list[int]:
        """Add nuclei a person sees as one edit; returns their ids.

        x and y are (n,) level-0 pixels, classes an index into the scheme for all or for each.

        Those are left out that lie on a nucleus that is there, such as what is pasted where it was
        copied.

        Raises:
            UserError: All of them do.
        """
        xy = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)], axis=1)
        free = ~self.occupied(xy)
        if len(xy) and not free.any():
            what = "a nucleus here" if len(xy) == 1 else "nuclei at all of these places"
            raise UserError(f"There {'is' if len(xy) == 1 else 'are'} {what} already.")
        index = np.broadcast_to(np.asarray(class_index, dtype=np.intp), free.shape)[free]
        names = [self.scheme.names[i] for i in index]
        numbers = self.store.add_many(xy[free, 0], xy[free, 1], names)
        self._extend(numbers)
        self.settled.emit()
        return numbers

    def occupied(self, xy: npt.NDArray[np.float64], but: npt.ArrayLike = ()) -> Mask:
        """(n,) on which points, (x, y) in level-0 pixels, a nucleus lies; some do not count."""
        others = self.present & ~np.isin(self.rows["id"], np.asarray(but, dtype=np.int64))
        return near(xy, self.rows[others], ONE_PLACE_PX)

    def set_class(self, ids: npt.ArrayLike, class_index: int) -> None:
        """Give nuclei a class: corrected, or confirmed where they had it already."""
        name = self.scheme.names[class_index]
        self._edit(ids, lambda store, chosen: store.set_class(chosen, name))

    def confirm(self, ids: npt.ArrayLike) -> None:
        """Say that predictions are right."""
        self._edit(ids, AnnotationStore.confirm)

    def delete(self, ids: npt.ArrayLike) -> None:
        """Remove nuclei; they stay in the annotations as rejected."""
        self._edit(ids, AnnotationStore.delete)

    def move(self, ids: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike) -> None:
        """Put nuclei elsewhere; that is a correction."""
        self._edit(ids, lambda store, chosen: store.move(chosen, x, y))

    def undo(self) -> Edit | None:
        """Take back the last edit; returns what that changed, None if there is none."""
        return self._walk(AnnotationStore.undo)

    def redo(self) -> Edit | None:
        """Do again what was taken back; returns what that changed, None if there is nothing."""
        return self._walk(AnnotationStore.redo)

    def apply_predictions(
        self,
        ids: npt.ArrayLike,
        class_ids: npt.ArrayLike,
        probabilities: npt.ArrayLike,
        model: str = "",
    ) -> Edit:
        """Show nuclei with the classes a classifier gives them, as one edit; see the store."""
        edit = self.store.apply_predictions(ids, class_ids, probabilities, model)
        self._take_predictions()
        self.changed.emit()
        return edit

    def drop_predictions(self) -> Edit | None:
        """Show all nuclei with the classes that were detected, as one edit."""
        edit = self.store.drop_predictions()
        if edit is not None:
            self._reload(self.store)
            self.changed.emit()
        return edit

    def edit_classes(self, change: Callable[[AnnotationStore], None]) -> None:
        """Add, change or merge classes by the store's own methods."""
        change(self.store)
        self._reload(self.store)
        self.scheme_changed.emit()
        self.changed.emit()

    def add_region(self, vertices: Vertices, reviewed: bool, name: str = "") -> int:
        """Add a polygon of x, y in level-0 pixels; returns its id."""
        return self.add_regions([(vertices, reviewed, name)])[0]

    def add_regions(self, regions: Iterable[tuple[Vertices, bool, str]]) -> list[int]:
        """Add polygons as one edit: corners, whether reviewed, name; returns their ids."""
        numbers = self.store.add_regions(regions)
        if numbers:
            self.regions_changed.emit()
            self.settled.emit()
        return numbers

    def change_region(
        self, number: int, name: str | None = None, reviewed: bool | None = None
    ) -> None:
        """Rename a region, or say whether all nuclei in it have been looked at."""
        self.store.change_region(number, name, reviewed)
        self.regions_changed.emit()
        if reviewed:
            self.settled.emit()

    def delete_region(self, number: int) -> None:
        """Remove a region."""
        self.store.delete_region(number)
        self.regions_changed.emit()

    # ------------------------------------------------------------------------------------------

    def _barred(self, xy: npt.NDArray[np.float64], distance_px: float) -> Mask:
        """(n,) which detections are where a person has looked, see :meth:`append`."""
        if not len(xy):
            return np.zeros(0, dtype=bool)
        margin = distance_px + 1.0
        (x0, y0), (x1, y1) = xy.min(axis=0) - margin, xy.max(axis=0) + margin
        around = self.rows[self.inside(Region(x0, y0, x1 - x0, y1 - y0))]
        view = box(x0, y0, x1, y1)
        reviewed = [area for area in self.store.reviewed_areas() if area.intersects(view)]
        # A prediction a person removed stays removed; an addition taken back is no verdict on the
        # place.
        taken_back = around["status"] == Status.DELETED
        taken_back &= around["model_id"] == self.store.model_number(_NO_MODEL)
        persons = (around["status"] != Status.PREDICTED) & ~taken_back
        persons |= inside_any(reviewed, around["x"], around["y"])
        in_reviewed = inside_any(reviewed, xy[:, 0], xy[:, 1])
        # What was there before and is still to be seen lies beyond the edge of what is searched.
        first = self.store.first_found
        beyond = np.zeros(len(around), dtype=bool) if first is None else around["id"] < first
        beyond &= around["status"] != Status.DELETED
        return in_reviewed | near(xy, around[persons | beyond], distance_px)

    def _edit(self, ids: npt.ArrayLike, act: Callable[[AnnotationStore, Any], None]) -> None:
        chosen = np.atleast_1d(np.asarray(ids, dtype=np.int64))
        if not len(chosen):
            return
        act(self.store, chosen)
        self._follow(chosen)
        self.settled.emit()

    def _walk(self, step: Callable[[AnnotationStore], Edit | None]) -> Edit | None:
        if self._store is None:
            return None
        edit = step(self.store)
        if edit is None:
            return None
        tables = {change.table for change in edit.changes}
        if "classes" in tables:
            self._reload(self.store)
            self.scheme_changed.emit()
            self.changed.emit()
        elif "live_predictions" in tables:
            self._take_predictions()
            self.changed.emit()
        elif "nuclei" in tables:
            self._follow(np.array(edit.nucleus_ids, dtype=np.int64))
        if "regions" in tables:
            self.regions_changed.emit()
        return edit

    def _take_predictions(self) -> None:
        """Show what the live predictions say, without reading the rows again where that will do."""
        live, rows = self.store.predictions, self.rows
        had_other = np.isfinite(rows["probability"])
        if live is None or not len(live.ids):
            self._reload(self.store)
            return
        found, at = live.find(rows["id"])
        if (had_other & ~found).any():
            # Only the file knows what these were detected as.
            self._reload(self.store)
            return
        found &= rows["status"] == Status.PREDICTED
        chosen = np.flatnonzero(found)
        numbers = np.asarray(self.store.class_numbers)
        order = np.argsort(numbers)
        classes = order[np.searchsorted(numbers[order], live.class_ids[at[chosen]])]
        self.relabel(chosen, classes, live.probabilities[at[chosen]])
        self._revision = self.store.revision

    def _follow(self, ids: npt.NDArray[np.int64]) -> None:
        """Bring rows to what the file says; those it does not have go, new ones come."""
        self.change(ids, self._read(self.store, ids))
        self.changed.emit()

    def _extend(self, ids: Iterable[int]) -> None:
        """Take new nuclei, whose ids are above all others."""
        self.rows = np.concatenate([self.rows, self._read(self.store, list(ids))])
        self.changed.emit()

    def _reload(self, store: AnnotationStore) -> None:
        if not store.classes.classes and not store.read_only:
            # Files of regions alone once made stores without classes.
            store.extend_classes(self.scheme.classes)
        self.scheme = store.classes if store.classes.classes else self.scheme
        self.rows = self._read(store, None)
        self._revision = store.revision

    def _read(self, store: AnnotationStore, ids: Any) -> NucleusRows:
        return _indexed(store.rows(ids), store.class_numbers)


def _annotator() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _indexed(rows: NucleusRows, class_numbers: Iterable[int]) -> NucleusRows:
    """Rows with the field ``class``, the index into the scheme, in place of the store's number."""
    numbers = np.array(list(class_numbers), dtype=np.int64)
    order = np.argsort(numbers)
    rows["class_id"] = order[np.searchsorted(numbers[order], rows["class_id"])]
    return recfunctions.rename_fields(rows, {"class_id": "class"})
