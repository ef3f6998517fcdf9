"""Files of nuclei: saving those of the slide, and taking over those of another program."""

from __future__ import annotations

import threading
from pathlib import Path

from qtpy.QtWidgets import QCheckBox, QFileDialog, QGroupBox

from muse_core.classify.project import project_path
from muse_core.errors import UserError
from muse_core.nuclei import dialog_filter, placed_on_slide, read_nuclei
from muse_core.nuclei.store.locate import STORE_SUFFIX
from muse_core.slides import Slide
from muse_core.slides.window.key import safe_name
from napari_muse.io.export import Exported, export_store
from napari_muse.io.file_import import take_over
from napari_muse.jobs.background import Background
from napari_muse.panels.forms import Links, column, push_button, row, wrapped
from napari_muse.session import MuseSession


class ExportPanel(QGroupBox):
    """Two buttons and what came of them."""

    def __init__(self, session: MuseSession) -> None:
        super().__init__("Files")
        self._session = session
        self._background = Background()
        self._cancelled = threading.Event()
        self.button = push_button(
            "Save nuclei …",
            "All nuclei of this slide as CSV, GeoJSON for QuPath, Parquet or AnnData",
        )
        self.open = push_button(
            "Import nuclei …",
            "Take over the nuclei of another program: GeoJSON, Parquet, AnnData, CSV. Dropping the"
            " file on the window does the same, with annotations as regions",
        )
        self.project = push_button(
            "Save project as …",
            "Keep the nuclei, regions and features of this image in a file of your choice, and go"
            " on there: while it has none they are in your own data folder",
        )
        self.cancel = push_button("Cancel", "Stop reading; nothing is taken over")
        self.cancel.hide()
        self.outlines = QCheckBox("Outlines of annotations are nuclei")
        self.outlines.setToolTip(
            "Some programs write each nucleus as an annotation; otherwise annotations are regions"
        )
        self.message = wrapped("")
        self.message.hide()
        buttons = row(self.button, self.open, self.cancel)
        column(self, buttons, self.project, self.outlines, self.message)
        self.button.clicked.connect(self._ask_target)
        self.open.clicked.connect(self._ask_source)
        self.cancel.clicked.connect(self._cancel_reading)
        self.project.clicked.connect(self._ask_project)
        self._links = Links((session.slide_changed, self._on_slide))
        self._on_slide()

    @property
    def busy(self) -> bool:
        """Whether a file is being read or written."""
        return self._background.busy

    def disconnect_all(self) -> None:
        """Stop; a file that is being written is completed, one that is being read is left."""
        self._links.cut()
        self._cancelled.set()
        self._background.close()

    def save(self, path: str | Path) -> None:
        """Save to a file, beside the interface, and say so; a refusal is shown as a sentence."""
        annotations = self._session.annotations
        if not self._session.attempt(self._session.require_slide):
            return
        if not annotations.has_file:
            self.say("There are no nuclei to save yet: detect or add some first.")
            return
        slide = self._session.require_slide()
        store, mpp, target = annotations.store.path, slide.mpp, Path(path)
        origin = (slide.scanned.x, slide.scanned.y)
        self._begin("Saving …")
        self._background.do(
            lambda: export_store(store, target, mpp, origin), self._on_saved, self._end
        )

    def load(self, path: str | Path) -> None:
        """Read a file beside the interface and take its nuclei over."""
        if not self._session.attempt(self._session.require_slide):
            return
        # They belong to the slide that is open now, whichever is when reading has ended.
        outlines, annotations = self.outlines.isChecked(), self._session.annotations
        slide = self._session.require_slide()
        # Of its own for each file: the last one may still be stopping.
        self._cancelled = cancelled = threading.Event()
        self._begin("Reading …")
        self.cancel.setEnabled(True)
        self.cancel.show()
        self._background.do(
            lambda: placed_on_slide(read_nuclei(path, outlines, cancelled.is_set), slide.scanned),
            lambda read: take_over(self._session, read, annotations, slide, self._end),
            self._end,
        )

    def save_project(self, path: str | Path) -> None:
        """Keep the image's project in a file from now on; a refusal is shown as a sentence."""
        target = project_path(path)
        try:
            self._session.annotations.save_as(target)
        except UserError as error:
            self.say(str(error))
            return
        self.say(
            f"Saved as {target.name}, which is used from now on. Open the same image again, and its"
            " nuclei come from there."
        )

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        self.message.setText(sentence)
        self.message.show()

    def _on_saved(self, exported: Exported) -> None:
        self._end(exported.sentence)

    def _cancel_reading(self) -> None:
        self._cancelled.set()
        self.cancel.setEnabled(False)

    def _begin(self, sentence: str) -> None:
        for button in (self.button, self.open):
            button.setEnabled(False)
        self.say(sentence)

    def _end(self, sentence: str) -> None:
        for button in (self.button, self.open):
            button.setEnabled(True)
        self.cancel.hide()
        self.say(sentence)

    def _ask_target(self) -> None:
        slide = self._session.slide
        suggested = _suggested(slide) if slide else "nuclei.csv"
        path, _ = QFileDialog.getSaveFileName(self, "Save nuclei", suggested, dialog_filter())
        if path:
            self.save(path)

    def _on_slide(self) -> None:
        # Beside a file its nuclei are at hand already.
        slide = self._session.slide
        self.project.setVisible(slide is not None and not slide.is_file)

    def _ask_project(self) -> None:
        slide = self._session.slide
        suggested = f"{safe_name(slide.title) if slide else 'image'}{STORE_SUFFIX}"
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Save project",
            suggested,
            f"MUSE project (*{STORE_SUFFIX})",
            # What is there is not replaced.
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if path:
            self.save_project(path)

    def _ask_source(self) -> None:
        slide = self._session.slide
        folder = str(slide.path.parent) if slide and slide.is_file else ""
        path, _ = QFileDialog.getOpenFileName(self, "Import nuclei", folder, dialog_filter())
        if path:
            self.load(path)


def _suggested(slide: Slide) -> str:
    """A name beside the slide where that is a file, of several images and planes one of its own."""
    part = slide.part.replace("=", "").replace("&", "-")
    if not part and slide.n_images > 1:
        part = f"image{slide.image.number}"
    name = f"{slide.path.stem}-{part}" if part else slide.path.stem
    return str(slide.path.with_name(f"{name}.csv")) if slide.is_file else f"{name}.csv"
