"""Read and write files of nuclei in the background, and report the outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from psygnal import Signal

from muse_core.classify.project import project_path
from muse_core.errors import UserError
from muse_core.nuclei import NucleusFile, placed_on_slide, read_nuclei
from muse_core.nuclei.store.content import content_of_open, store_content
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.io.export import export_content
from napari_muse.io.file_import import take_over
from napari_muse.jobs.background import Background
from napari_muse.session import MuseSession


class FileJobs:
    """Saves and imports the nuclei of a session's slide, one file after the other.

    Signals:
        reading: A file is being read, which :meth:`cancel` can stop; a sentence.
        writing: A file is being written; a sentence.
        ended: A sentence on the outcome, also if the work could not be started.
    """

    reading = Signal(str)
    writing = Signal(str)
    ended = Signal(str)

    def __init__(self, session: MuseSession) -> None:
        self._session = session
        self._background = Background()
        self._cancelled = threading.Event()

    @property
    def busy(self) -> bool:
        """Whether a file is being read or written."""
        return self._background.busy

    def cancel(self) -> None:
        """Stop reading; nothing is imported."""
        self._cancelled.set()

    def close(self) -> None:
        """Stop; a file that is being written is completed, one that is being read is left."""
        self.cancel()
        self._background.close()

    def save(self, path: str | Path) -> None:
        """Save to a file, in the format of its name."""
        annotations = self._session.annotations
        if not self._session.attempt(self._session.require_slide):
            return
        if not annotations.has_file:
            self.ended.emit("There are no nuclei to save yet: detect or add some first.")
            return
        slide = self._session.require_slide()
        mpp, target = slide.mpp, Path(path)
        origin, plane_zt = (slide.scanned.x, slide.scanned.y), slide.plane_zt
        hidden = annotations.present & ~self._session.nuclei.wanted()
        beside = " Nuclei of hidden classes are among them." if hidden.any() else ""
        read = _reader_of(annotations)
        self.writing.emit("Saving …")
        self._background.do(
            lambda: export_content(read(), target, mpp, origin, plane_zt).sentence + beside,
            self.ended.emit,
            self.ended.emit,
        )

    def load(self, path: str | Path, outlines: bool = False) -> None:
        """Read a file and import its nuclei.

        Args:
            path: In any format that is read.
            outlines: Whether outlines of annotations are nuclei, and not regions.
        """
        if not self._session.attempt(self._session.require_slide):
            return
        # They belong to the slide that is open now, even if another is open when reading ends.
        session, annotations = self._session, self._session.annotations
        slide = session.require_slide()
        # Of its own for each file: the last one may still be stopping.
        self._cancelled = cancelled = threading.Event()
        self.reading.emit("Reading …")
        self._background.do(
            lambda: placed_on_slide(read_nuclei(path, outlines, cancelled.is_set), slide.scanned),
            lambda read: take_over(session, read, annotations, slide, self.ended.emit),
            self.ended.emit,
        )

    def save_project(self, path: str | Path) -> None:
        """Save the annotations of an image without a file to a file, and use that from now on."""
        target = project_path(path)
        try:
            self._session.annotations.save_as(target)
        except UserError as error:
            self.ended.emit(str(error))
            return
        self.ended.emit(
            f"Saved as {target.name}, which is used from now on. Open the same image again, and its"
            " nuclei come from there."
        )


def _reader_of(annotations: SlideAnnotations) -> Callable[[], NucleusFile]:
    """Return a function that reads what is to be saved, in any thread.

    If another program has deleted, moved or replaced the file, what is shown is read at once, from
    the file that is still open: another one may be at its path.
    """
    if annotations.is_lost:
        shown = content_of_open(annotations.store)
        return lambda: shown
    return partial(store_content, annotations.path)
