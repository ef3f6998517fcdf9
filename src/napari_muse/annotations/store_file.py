"""StoreFile: opens and creates the store of a slide when needed, and closes it in between."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from muse_core.classify.project import move_project
from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.recorded_slide import RecordedSlide
from muse_core.nuclei.store import AnnotationStore, StorePlace, identify_slide
from muse_core.nuclei.store.database import StoreIsThereError


class StoreFile:
    """The annotation file of a slide.

    It is created with the first nucleus or class, so that merely viewing a slide leaves no file.
    """

    def __init__(self, place: StorePlace | None, refusal: str, changed: Callable[[], None]) -> None:
        """Open what there is.

        Args:
            place: The slide's store; None while no slide is open, or its store cannot be used.
            refusal: Without a place, the sentence that says why nothing can be saved.
            changed: Called when another program has written the file meanwhile.

        Raises:
            UserError: The slide's store cannot be read.
        """
        self._place = place
        self._refusal = refusal
        self._changed = changed
        self._store: AnnotationStore | None = (
            _of_window(place.open(_annotator())) if place else None
        )
        self._revision: tuple[int, ...] = ()
        self._resting = False

    @property
    def exists(self) -> bool:
        """Whether the file exists."""
        return self._store is not None

    @property
    def is_lost(self) -> bool:
        """Whether another program has deleted the file, or replaced it while it was open."""
        return self._store is not None and not self._store.has_its_file

    @property
    def read_only(self) -> bool:
        """Whether edits are refused: another window has the file open, or it is not writable."""
        return self._store is not None and not self._resting and self._store.read_only

    @property
    def detecting(self) -> bool:
        """Whether a detection is under way in the open file."""
        return self._store is not None and not self._resting and self._store.detecting

    @property
    def recorded_slide(self) -> RecordedSlide | None:
        """Record of the slide for files of nuclei; None without a slide."""
        return None if self._place is None else self._place.identity.recorded

    def open(self, scheme: ClassScheme) -> AnnotationStore:
        """Return the open store; if there is none, it is created with these classes.

        A file that another window had open is opened anew when that window has been closed.

        Raises:
            UserError: It cannot be opened or created, or another window has created it meanwhile;
                it is open then, and the next call returns it.
        """
        if self._store is None:
            return self._create(scheme)
        if self._store.was_let_go:
            self.rest()
        if not self._resting:
            return self._store
        self._store = _of_window(AnnotationStore.open(self._store.path, _annotator()))
        self._resting = False
        if self._store.revision != self._revision:
            self._changed()
        return self._store

    def _create(self, scheme: ClassScheme) -> AnnotationStore:
        place = self._require_place()
        try:
            self._store = _of_window(place.create(scheme, _annotator()))
            return self._store
        except StoreIsThereError:
            self._store = _of_window(place.open(_annotator()))
            if self._store is None:
                raise
        self._changed()
        # What was to be edited may mean something else there.
        raise UserError(
            f"Another window has made {self._store.path.name} for this slide; what it holds is"
            " shown now."
        )

    def require_place(self) -> None:
        """Raise UserError, with the reason, if nothing can be saved."""
        self._require_place()

    def require_same_slide(self) -> None:
        """Check that the slide's path still leads to the slide that is open, for jobs that open it.

        Raises:
            UserError: The file has been replaced by another slide.
        """
        place = self._require_place()
        if not place.slide.is_file():
            return  # The job reports a missing file; a folder's many files are not checked.
        if not place.identity.same_content(identify_slide(place.slide, place.part)):
            raise UserError(
                f"{place.slide.name} has been changed or replaced since it was opened; remove it"
                " from the list of layers and open it anew."
            )

    def save_as(
        self, target: Path, wait: Callable[[Callable[[Callable[[], bool]], None], str], object]
    ) -> None:
        """Move the file, with the features beside it, to a new path and use it from then on.

        Args:
            target: The new path.
            wait: Runs work that takes long, and shows a sentence meanwhile.

        Raises:
            UserError: There is no file yet, a detection is running, the target cannot be written,
                or it exists already.
        """
        if self._store is None:
            raise UserError("There are no nuclei to save yet: detect or add some first.")
        store = self.open(self._store.classes)
        store.require_writable()
        if store.detecting:
            raise UserError("A detection is running on this slide; save when it has ended.")
        place, path = self._require_place(), store.path
        if target.resolve() == path.resolve():
            raise UserError(f"It is saved as {target.name} already.")

        def move(should_cancel: Callable[[], bool]) -> None:
            move_project(place, store.path, target, should_cancel)

        self.rest()
        try:
            wait(move, f"Saving {target.name} …")
            path = target
        finally:
            self._store = _of_window(AnnotationStore.open(path, _annotator()))
            self._resting = False

    def rest(self, to_be_read: bool = False) -> None:
        """Close the file until it is needed again.

        Args:
            to_be_read: Whether its nuclei have to be read then, even if nobody has changed them.
        """
        if self._store is not None and not self._resting:
            # What was only looked at may have changed since it was read.
            anew = to_be_read or self._store.read_only
            self._revision = () if anew else _revision_of(self._store)
            self._store.close()
            self._resting = True

    def _require_place(self) -> StorePlace:
        if self._place is None:
            raise UserError(self._refusal)
        return self._place


_Store = TypeVar("_Store", AnnotationStore, AnnotationStore | None)


def _of_window(store: _Store) -> _Store:
    """Return a store whose edits refuse soon, since the interface waits for them."""
    if store is not None:
        store.refuse_soon()
    return store


def _revision_of(store: AnnotationStore) -> tuple[int, ...]:
    """The revision of a store, or one that no store has if its file has been damaged meanwhile."""
    try:
        return store.revision
    except UserError:
        return ()


def _annotator() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
