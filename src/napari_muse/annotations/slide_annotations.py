"""SlideAnnotations: edits, imports and detections of the nuclei of a slide. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.array_types import Mask
from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NucleusFile, Status
from muse_core.nuclei.outlines import inside_any
from muse_core.nuclei.store import AnnotationStore, Edit
from muse_core.nuclei.store.region_edits import Vertices
from muse_core.nuclei.table import ONE_PLACE_PX
from napari_muse.annotations.file_takeover import near, require_regions, taken_of
from napari_muse.annotations.looked_at import where_looked
from napari_muse.annotations.stored_nuclei import StoredNuclei

_MANY = 5_000
"""Edits of more nuclei than this take noticeably long to write."""
_MANY_BYTES = 1 << 16
"""Size of a journal entry for about as many nuclei."""


class SlideAnnotations(StoredNuclei):
    """The nuclei of one slide, with all operations on them.

    An edit is on disk before the arrays change and signals are emitted. Methods that change
    something raise UserError if the file cannot be written, another window has it open, or there is
    no slide.
    """

    # Detections and files ---------------------------------------------------------------------

    def adopt_scheme(self, scheme: ClassScheme) -> tuple[int, ...]:
        """Add the classes of another scheme that are missing; returns (K,) their ids here."""
        if not scheme.classes:
            # A file of regions alone names none; those that are known already stay.
            return ()
        if self.pristine:
            self.set_classes(scheme)
        else:
            ours = self.scheme
            missing = ours.joined(scheme.classes).classes[len(ours.classes) :]
            if missing:
                self.store.extend_classes(missing)
                self._read_classes()
        self.scheme_changed.emit()
        return tuple(self.class_ids[self.scheme.index(name)] for name in scheme.names)

    def begin_detection(self, mask: Mask, distance_px: float) -> None:
        """Hide the predictions that a detection replaces, until :meth:`end_detection`.

        Args:
            mask: (N,) rows in the searched area; only predictions outside reviewed regions are
                hidden.
            distance_px: Distance up to which two nuclei are the same.
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
        class_ids: npt.ArrayLike,
        score: npt.ArrayLike,
        model: str,
        min_distance_px: float,
        **uncertainty: npt.ArrayLike,
    ) -> int:
        """Add detections, except where a person has looked.

        That is in a reviewed region, or within ``min_distance_px`` of a nucleus that a person has
        edited or that lies in a reviewed region.

        Args:
            x: (n,) level-0 pixels.
            y: (n,) level-0 pixels.
            class_ids: (n,) ids of classes.
            score: (n,) nucleus probability, 0 to 1.
            model: Name of the model.
            min_distance_px: Distance up to which two nuclei are the same.
            **uncertainty: Uncertainty of the model by kind, see the store; (n,) each.

        Returns:
            Number of nuclei added.
        """
        xy = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)], axis=1)
        new = ~where_looked(xy, min_distance_px, self, self.store)
        kept = {name: np.asarray(values)[new] for name, values in uncertainty.items()}
        classes = np.asarray(class_ids, dtype=np.int32)[new]
        scores = np.asarray(score, dtype=np.float32)[new]
        self.append_rows(self.store.insert_detections(xy[new], classes, scores, model, kept))
        self.changed.emit()
        return int(new.sum())

    def end_detection(self, how: str) -> None:
        """End a detection as "done", "cancelled" or "failed"; see the store."""
        self.store.end_detection(how)
        if how != "done":
            self._reload()
            self.changed.emit()

    def set_uncertainty(self, ids: npt.ArrayLike, **uncertainty: npt.ArrayLike) -> None:
        """Store a model's uncertainty of nuclei, see the store; not an edit."""
        chosen = np.asarray(ids, dtype=np.int64)
        self.store.set_uncertainty(chosen, uncertainty)
        self.change(chosen, self.store.rows(chosen))
        self.changed.emit()

    def load(self, content: NucleusFile) -> Edit | None:
        """Import the nuclei, regions and classes of a file, as one edit.

        Nuclei get new ids and keep their status. Where both have a nucleus at the same place, the
        file's replaces the slide's unless a person has looked at that one; so importing a file
        twice adds nothing.

        Returns:
            The edit; None for a file with neither nuclei nor regions.

        Raises:
            UserError: A detection is running, which would take the nuclei for its own; or there are
                more regions than a person can have drawn.
        """
        self.require_writable()
        require_regions(content)
        if self.detecting:
            raise UserError(
                "A detection is running on this slide; take nuclei over when it has ended."
            )
        if content.table.empty and not content.regions:
            return None
        theirs, first = content.classes(), self.pristine
        store = self.store
        instead = first and bool(theirs.classes)
        ours = ClassScheme(()) if instead else self.scheme

        def take() -> Edit:
            taken = taken_of(content, self, self.regions())
            return store.take_over(
                taken.table,
                ours.joined(theirs.classes).classes[len(ours.classes) :],
                ((r.vertices, r.reviewed, r.name) for r in taken.regions),
                taken.replaced,
                instead,
            )

        n = len(content.table)
        return self._at_length(take, f"Taking over {n:,} nuclei …", n > _MANY)

    # Edits ------------------------------------------------------------------------------------

    def add(self, x: float, y: float, class_id: int) -> int:
        """Add a nucleus a person sees; returns its id."""
        edit = self._settle(self.store.add_many([x], [y], [class_id]))
        return int(edit.new_ids[0])

    def add_many(self, x: npt.ArrayLike, y: npt.ArrayLike, class_ids: npt.ArrayLike) -> list[int]:
        """Add nuclei as one edit; returns their ids.

        x and y are (n,) level-0 pixels, class_ids one id for all or (n,) ids. Nuclei at the place
        of an existing one are left out, such as those pasted where they were copied.

        Raises:
            UserError: All of them are left out.
        """
        xy = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)], axis=1)
        store, classes = self.store, np.broadcast_to(np.asarray(class_ids, dtype=np.int32), len(xy))

        def add() -> Edit:
            free = ~self.occupied(xy)
            if len(xy) and not free.any():
                what = "a nucleus here" if len(xy) == 1 else "nuclei at all of these places"
                raise UserError(f"There {'is' if len(xy) == 1 else 'are'} {what} already.")
            return store.add_many(xy[free, 0], xy[free, 1], classes[free])

        edit = self._at_length(add, f"Adding {len(xy):,} nuclei …", len(xy) > _MANY)
        if not edit:
            return []
        self.settled.emit()
        return [int(number) for number in edit.new_ids]

    def occupied(self, xy: npt.NDArray[np.float64], but: npt.ArrayLike = ()) -> Mask:
        """(n,) at which points (x, y), level-0 pixels, a nucleus lies that is not in ``but``."""
        others = self.present & ~np.isin(self.rows["id"], np.asarray(but, dtype=np.int64))
        return near(xy, self.rows[others], ONE_PLACE_PX)

    def set_class(self, ids: npt.ArrayLike, class_id: int) -> None:
        """Give nuclei a class: corrected, or confirmed where they had it already."""
        self._edit(ids, lambda store, chosen: store.set_class(chosen, class_id))

    def confirm(self, ids: npt.ArrayLike) -> None:
        """Confirm predictions."""
        self._edit(ids, AnnotationStore.confirm)

    def delete(self, ids: npt.ArrayLike) -> None:
        """Remove nuclei; they stay in the annotations as deleted."""
        self._edit(ids, AnnotationStore.delete)

    def move(self, ids: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike) -> None:
        """Move nuclei, which counts as a correction."""
        self._edit(ids, lambda store, chosen: store.move(chosen, x, y))

    def apply_predictions(
        self,
        ids: npt.ArrayLike,
        class_ids: npt.ArrayLike,
        probabilities: npt.ArrayLike,
        model: str = "",
    ) -> Edit:
        """Show nuclei with the classes a classifier gives them, as one edit; see the store."""
        return self._follow(self.store.apply_predictions(ids, class_ids, probabilities, model))

    def drop_predictions(self) -> Edit:
        """Show all nuclei with the classes that were detected, as one edit."""
        return self._follow(self.store.drop_predictions())

    def undo(self) -> Edit | None:
        """Undo the last edit; returns the changes, None if there is none."""
        return self._walk(AnnotationStore.undo, "Undoing …", again=False)

    def redo(self) -> Edit | None:
        """Redo what was undone last; returns the changes, None if there is nothing."""
        return self._walk(AnnotationStore.redo, "Doing it again …", again=True)

    def edit_classes(self, change: Callable[[AnnotationStore], Edit], n_nuclei: int = 0) -> None:
        """Add, change or merge classes by the store's own methods.

        Args:
            change: Calls one of them.
            n_nuclei: Number of nuclei that change with the classes.
        """
        store = self.store
        sentence = f"Changing {n_nuclei:,} nuclei …"
        self._at_length(lambda: change(store), sentence, n_nuclei > _MANY)

    def add_region(self, vertices: Vertices, reviewed: bool, name: str = "") -> int:
        """Add a polygon of x, y in level-0 pixels; returns its id."""
        return self.add_regions([(vertices, reviewed, name)]).changes[0].id

    def add_regions(self, regions: Iterable[tuple[Vertices, bool, str]]) -> Edit:
        """Add polygons as one edit: corners, whether reviewed, name."""
        return self._settle(self.store.add_regions(regions))

    def change_region(
        self, number: int, name: str | None = None, reviewed: bool | None = None
    ) -> None:
        """Rename a region, or set whether all nuclei in it have been reviewed."""
        take = self._settle if reviewed else self._follow
        take(self.store.change_region(number, name, reviewed))

    def delete_region(self, number: int) -> None:
        """Remove a region."""
        self._follow(self.store.delete_region(number))

    # ------------------------------------------------------------------------------------------

    def _edit(self, ids: npt.ArrayLike, act: Callable[[AnnotationStore, Any], Edit]) -> None:
        chosen = np.atleast_1d(np.asarray(ids, dtype=np.int64))
        if not len(chosen):
            return
        store = self.store
        sentence = f"Changing {len(chosen):,} nuclei …"
        if self._at_length(lambda: act(store, chosen), sentence, len(chosen) > _MANY):
            self.settled.emit()

    def _walk(
        self, step: Callable[[AnnotationStore], Edit | None], sentence: str, again: bool
    ) -> Edit | None:
        if not self.has_file:
            return None
        store = self.store
        return self._at_length(lambda: step(store), sentence, store.step_bytes(again) > _MANY_BYTES)
