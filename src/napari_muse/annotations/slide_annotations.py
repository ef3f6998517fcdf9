"""SlideAnnotations: what persons, files and detections do to the nuclei of a slide. No Qt."""

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
"""More nuclei than this at once take longer to write than a person notices."""
_MANY_BYTES = 1 << 16
"""Size of an entry of the journal of about as many nuclei."""


class SlideAnnotations(StoredNuclei):
    """The nuclei of one slide and all that can be done to them.

    What a person does is on disk before a method returns; arrays and signals follow. Methods that
    change something raise UserError where the file cannot be written, another window has it open,
    or there is no slide.
    """

    # Detections and files ---------------------------------------------------------------------

    def adopt_scheme(self, scheme: ClassScheme) -> tuple[int, ...]:
        """Make room for another scheme's classes; returns (K,) the id here of each of them."""
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
        class_ids: npt.ArrayLike,
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
            class_ids: (n,) ids of classes.
            score: (n,) nucleus probability, 0 to 1.
            model: Name of the model.
            min_distance_px: Up to this distance two nuclei are the same.
            **uncertainty: How unsure the model was, see the store; (n,) each.

        Returns:
            Number of nuclei taken.
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
        """Settle a detection that was begun: "done", "cancelled" or "failed"; see the store."""
        self.store.end_detection(how)
        if how != "done":
            self._reload()
            self.changed.emit()

    def set_uncertainty(self, ids: npt.ArrayLike, **uncertainty: npt.ArrayLike) -> None:
        """Keep how unsure a model is of nuclei, see the store; not an edit."""
        chosen = np.asarray(ids, dtype=np.int64)
        self.store.set_uncertainty(chosen, uncertainty)
        self.change(chosen, self.store.rows(chosen))
        self.changed.emit()

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
        edit = self._at_length(take, f"Taking over {n:,} nuclei …", n > _MANY)
        return 0 if edit is None else len(edit.new_ids)

    # Edits ------------------------------------------------------------------------------------

    def add(self, x: float, y: float, class_id: int) -> int:
        """Add a nucleus a person sees; returns its id."""
        edit = self._settle(self.store.add_many([x], [y], [class_id]))
        return int(edit.new_ids[0])

    def add_many(self, x: npt.ArrayLike, y: npt.ArrayLike, class_ids: npt.ArrayLike) -> list[int]:
        """Add nuclei a person sees as one edit; returns their ids.

        x and y are (n,) level-0 pixels, classes an id for all or for each.

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
        classes = np.broadcast_to(np.asarray(class_ids, dtype=np.int32), free.shape)[free]
        edit = self._settle(self.store.add_many(xy[free, 0], xy[free, 1], classes))
        return [int(number) for number in edit.new_ids]

    def occupied(self, xy: npt.NDArray[np.float64], but: npt.ArrayLike = ()) -> Mask:
        """(n,) on which points, (x, y) in level-0 pixels, a nucleus lies; some do not count."""
        others = self.present & ~np.isin(self.rows["id"], np.asarray(but, dtype=np.int64))
        return near(xy, self.rows[others], ONE_PLACE_PX)

    def set_class(self, ids: npt.ArrayLike, class_id: int) -> None:
        """Give nuclei a class: corrected, or confirmed where they had it already."""
        self._edit(ids, lambda store, chosen: store.set_class(chosen, class_id))

    def confirm(self, ids: npt.ArrayLike) -> None:
        """Say that predictions are right."""
        self._edit(ids, AnnotationStore.confirm)

    def delete(self, ids: npt.ArrayLike) -> None:
        """Remove nuclei; they stay in the annotations as rejected."""
        self._edit(ids, AnnotationStore.delete)

    def move(self, ids: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike) -> None:
        """Put nuclei elsewhere; that is a correction."""
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
        """Take back the last edit; returns what that changed, None if there is none."""
        return self._walk(AnnotationStore.undo, "Undoing …", again=False)

    def redo(self) -> Edit | None:
        """Do again what was taken back; returns what that changed, None if there is nothing."""
        return self._walk(AnnotationStore.redo, "Doing it again …", again=True)

    def edit_classes(self, change: Callable[[AnnotationStore], Edit]) -> None:
        """Add, change or merge classes by the store's own methods."""
        self._follow(change(self.store))

    def add_region(self, vertices: Vertices, reviewed: bool, name: str = "") -> int:
        """Add a polygon of x, y in level-0 pixels; returns its id."""
        return self.add_regions([(vertices, reviewed, name)]).changes[0].id

    def add_regions(self, regions: Iterable[tuple[Vertices, bool, str]]) -> Edit:
        """Add polygons as one edit: corners, whether reviewed, name."""
        return self._settle(self.store.add_regions(regions))

    def change_region(
        self, number: int, name: str | None = None, reviewed: bool | None = None
    ) -> None:
        """Rename a region, or say whether all nuclei in it have been looked at."""
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
