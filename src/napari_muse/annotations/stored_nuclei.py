"""StoredNuclei: the arrays of a slide's nuclei, synchronised with the store's file. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from psygnal import Signal

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, empty_table
from muse_core.nuclei.recorded_slide import RecordedSlide
from muse_core.nuclei.store import NUCLEUS_ROW, AnnotationStore, Edit, StorePlace
from napari_muse.annotations.nucleus_arrays import NucleusArrays
from napari_muse.annotations.row_reading import Later, RowReading
from napari_muse.annotations.store_file import StoreFile

Wait = Callable[[Callable[[Callable[[], bool]], Edit | None], str], Edit | None]
"""Runs an edit that takes long: gets a function of ``should_cancel``, and a sentence to show."""

_MANY_ROWS = 30_000
"""More nuclei than this take noticeably long to read."""


class StoredNuclei(NucleusArrays):
    """The nuclei, classes and regions of one slide, mirrored from its store.

    The file is created with the first nucleus or class, so that merely viewing a slide leaves no
    file. Methods of subclasses edit the store and pass the :class:`Edit` to ``_follow``, which
    applies it to the arrays without reading the file again.

    The nuclei of a large store are read beside the interface. Until they are all there, edits are
    refused, and a file that is closed is read from the beginning when it is opened again.

    Signals:
        changed: Nuclei have changed.
        scheme_changed: Classes have changed.
        regions_changed: Regions have changed.
        settled: A person has confirmed or changed nuclei; not emitted by undo and redo.
        read: All nuclei have been read, ""; or they cannot be, a sentence that says why.
    """

    changed = Signal()
    scheme_changed = Signal()
    regions_changed = Signal()
    settled = Signal()
    read = Signal(str)

    def __init__(
        self,
        scheme: ClassScheme,
        place: StorePlace | None = None,
        refusal: str = "Open a slide first: File > Open, or drop it on the window.",
        later: Later | None = None,
    ) -> None:
        """Open what there is.

        Args:
            scheme: Classes while there is no file.
            place: The slide's store; None while no slide is open, or its store cannot be used.
            refusal: Without a place, the sentence that says why nothing can be saved.
            later: Reads many nuclei in a thread; without it they are read at once.

        Raises:
            UserError: The slide's store cannot be read.
        """
        super().__init__(scheme, np.zeros(0, dtype=NUCLEUS_ROW))
        self.wait: Wait = _at_once
        """Runs work that takes long, and shows a sentence meanwhile."""
        self._later = later
        self._reading: RowReading | None = None
        self._to_be_read = False
        self._file = StoreFile(place, refusal, self._reload_and_tell)
        if self._file.exists:
            self._reload()

    @property
    def read_only(self) -> bool:
        """Whether edits are refused: another window has the file open, or it is not writable."""
        return self._file.read_only

    @property
    def store(self) -> AnnotationStore:
        """The open store, which is created if there is none.

        Raises:
            UserError: It cannot be opened, or its nuclei are still being read.
        """
        store = self._opened
        self.require_read()
        return store

    @property
    def _opened(self) -> AnnotationStore:
        """The open store, whose nuclei may still be being read."""
        return self._file.open(self.scheme)

    @property
    def path(self) -> Path:
        """Path of the store's file, which is created if there is none."""
        return self._opened.path

    @property
    def reading(self) -> bool:
        """Whether nuclei of the file are still being read, and are not in the arrays yet."""
        return self._reading is not None

    def require_read(self) -> None:
        """Raise UserError while nuclei are being read."""
        if self.reading:
            raise UserError("The nuclei of this slide are still being read; try again in a moment.")

    @property
    def has_file(self) -> bool:
        """Whether the file exists."""
        return self._file.exists

    @property
    def is_lost(self) -> bool:
        """Whether another program has deleted the file, or replaced it while it was open."""
        return self._file.is_lost

    @property
    def detecting(self) -> bool:
        """Whether a detection is under way in the open file."""
        return self._file.detecting

    @property
    def recorded_slide(self) -> RecordedSlide | None:
        """Record of the slide for files of nuclei; None without a slide."""
        return self._file.recorded_slide

    def require_writable(self) -> None:
        """Raise UserError if edits cannot be saved; creates no file."""
        self._file.require_place()
        if self.has_file:
            self.store.require_writable()

    def require_same_slide(self) -> None:
        """Raise UserError if the slide's file has been replaced by another slide."""
        self._file.require_same_slide()

    def rest(self) -> None:
        """Close the file until it is needed again."""
        if self._reading is not None:
            self._reading.stop()
            self._reading, self._to_be_read = None, True
        self._file.rest(self._to_be_read)

    def resume(self) -> None:
        """Open the file again after :meth:`rest`, if there is one; raises UserError."""
        if self.has_file:
            _ = self._opened

    def save_as(self, target: Path) -> None:
        """Move the file, with the features beside it, to a new path and use it from then on.

        Raises:
            UserError: There is no file yet, it is being read, a detection is running, the target
                cannot be written, or it exists already.
        """
        self.require_read()
        self._file.save_as(target, lambda work, sentence: self.wait(work, sentence))

    @property
    def pristine(self) -> bool:
        """Whether nothing depends on the classes yet."""
        return not self.has_file

    def to_table(self) -> pd.DataFrame:
        """NucleusTable of all nuclei that are not deleted."""
        return self._opened.nuclei() if self.has_file else empty_table()

    def regions(self) -> pd.DataFrame:
        """Regions: id, name, vertices (list of [x, y]), reviewed (bool)."""
        if not self.has_file:
            return pd.DataFrame(columns=["id", "name", "vertices", "reviewed"])
        return self._opened.regions()

    # Following edits --------------------------------------------------------------------------

    def _follow(self, edit: Edit) -> Edit:
        """Apply an edit to the arrays and emit signals."""
        classes = bool(edit.of("classes"))
        if classes:
            self._read_classes()
        self.apply(edit)
        if classes:
            self.scheme_changed.emit()
        if classes or len(edit.nuclei) or edit.relabelled is not None:
            self.changed.emit()
        if edit.of("regions"):
            self.regions_changed.emit()
        return edit

    def _settle(self, edit: Edit) -> Edit:
        """Follow an edit by which a person has confirmed or changed nuclei."""
        self._follow(edit)
        if edit:
            self.settled.emit()
        return edit

    def _at_length(
        self, act: Callable[[], Edit | None], sentence: str, is_long: bool
    ) -> Edit | None:
        """Make an edit and follow it; during a long one the window stays responsive."""
        if not is_long:
            edit = act()
            return None if edit is None else self._follow(edit)
        store, before = self.store, self.version

        def cancellable(should_cancel: Callable[[], bool]) -> Edit | None:
            with store.cancellable(should_cancel):
                return act()

        edit = self.wait(cancellable, sentence)
        if edit is None or self.version == before:
            return None if edit is None else self._follow(edit)
        # Something else was written meanwhile, such as what a classifier had found.
        self._reload_and_tell()
        return edit

    def _read_classes(self) -> None:
        store = self._opened
        self.set_classes(store.classes, tuple(store.class_ids.values()))

    def _reload_and_tell(self) -> None:
        self._reload()
        for signal in (self.scheme_changed, self.changed, self.regions_changed):
            signal.emit()

    def _reload(self) -> None:
        store = self._opened
        if not store.classes.classes and not store.read_only:
            # Files of regions alone once made stores without classes.
            store.extend_classes(self.scheme.classes)
        self._to_be_read = False
        if store.classes.classes:
            self._read_classes()
        if self._later is None or store.n_rows <= _MANY_ROWS:
            self._reading = None
            self.rows = store.rows()
            return
        self._reading = reading = RowReading(store, self.scheme, self.class_ids)
        self._later(
            reading.read,
            lambda arrays: self._on_read(reading, arrays),
            lambda sentence: self._on_unreadable(reading, sentence),
        )

    def _on_read(self, reading: RowReading, arrays: NucleusArrays) -> None:
        if reading is self._reading:
            self._reading = None
            self.take(arrays.rows, arrays.compute())
            self.changed.emit()
            self.read.emit("")

    def _on_unreadable(self, reading: RowReading, sentence: str) -> None:
        if reading is self._reading:
            self._reading = None
            self._file.rest()
            self.read.emit(sentence)


def _at_once(work: Callable[[Callable[[], bool]], Edit | None], sentence: str) -> Edit | None:
    return work(lambda: False)
