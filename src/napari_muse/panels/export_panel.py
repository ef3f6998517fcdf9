"""Files of nuclei: saving those of the slide, and taking over those of another program."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QCheckBox, QFileDialog, QGroupBox

from muse_core.nuclei import dialog_filter
from muse_core.nuclei.store.locate import STORE_SUFFIX
from napari_muse.io.export import suggested_export, suggested_project
from napari_muse.io.file_jobs import FileJobs
from napari_muse.panels.forms import Following, column, push_button, row, wrapped
from napari_muse.session import MuseSession


class ExportPanel(Following, QGroupBox):
    """Two buttons and what came of them."""

    def __init__(self, session: MuseSession) -> None:
        super().__init__("Files")
        self._session = session
        self._files = FileJobs(session)
        self.button = push_button(
            "Save nuclei …",
            "All nuclei of this slide as CSV, GeoJSON for QuPath, Parquet or AnnData",
            self._ask_target,
        )
        self.open = push_button(
            "Import nuclei …",
            "Take over the nuclei of another program: GeoJSON, Parquet, AnnData, CSV. Dropping the"
            " file on the window does the same, with annotations as regions",
            self._ask_source,
        )
        self.project = push_button(
            "Save project as …",
            "Keep the nuclei, regions and features of this image in a file of your choice, and go"
            " on there: while it has none they are in your own data folder",
            self._ask_project,
        )
        self.cancel = push_button(
            "Cancel", "Stop reading; nothing is taken over", self._cancel_reading
        )
        self.cancel.hide()
        self.outlines = QCheckBox("Outlines of annotations are nuclei")
        self.outlines.setToolTip(
            "Some programs write each nucleus as an annotation; otherwise annotations are regions"
        )
        self.message = wrapped("")
        self.message.hide()
        buttons = row(self.button, self.open, self.cancel)
        column(self, buttons, self.project, self.outlines, self.message)
        self.follow(
            (session.slide_changed, self._on_slide),
            (self._files.reading, self._on_reading),
            (self._files.writing, self._on_writing),
            (self._files.ended, self._on_end),
        )
        self._on_slide()

    @property
    def busy(self) -> bool:
        """Whether a file is being read or written."""
        return self._files.busy

    def disconnect_all(self) -> None:
        """Stop, see :meth:`FileJobs.close`."""
        super().disconnect_all()
        self._files.close()

    def save(self, path: str | Path) -> None:
        """Save to a file, beside the interface, and say so; a refusal is shown as a sentence."""
        self._files.save(path)

    def load(self, path: str | Path) -> None:
        """Read a file beside the interface and take its nuclei over."""
        self._files.load(path, self.outlines.isChecked())

    def _say(self, sentence: str) -> None:
        self.message.setText(sentence)
        self.message.show()

    def _cancel_reading(self) -> None:
        self.cancel.setEnabled(False)
        self._files.cancel()

    def _on_reading(self, sentence: str) -> None:
        self.cancel.setEnabled(True)
        self.cancel.show()
        self._on_writing(sentence)

    def _on_writing(self, sentence: str) -> None:
        self._enable(False)
        self._say(sentence)

    def _on_end(self, sentence: str) -> None:
        # A project can be saved while a file is being read.
        if not self._files.busy:
            self._enable(True)
            self.cancel.hide()
        self._say(sentence)

    def _enable(self, on: bool) -> None:
        for button in (self.button, self.open):
            button.setEnabled(on)

    def _ask_target(self) -> None:
        suggested = suggested_export(self._session.slide)
        path, _ = QFileDialog.getSaveFileName(self, "Save nuclei", suggested, dialog_filter())
        if path:
            self.save(path)

    def _on_slide(self) -> None:
        # Beside a file its nuclei are at hand already.
        slide = self._session.slide
        self.project.setVisible(slide is not None and not slide.is_file)

    def _ask_project(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Save project",
            suggested_project(self._session.slide),
            f"MUSE project (*{STORE_SUFFIX})",
            # What is there is not replaced.
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if path:
            self._files.save_project(path)

    def _ask_source(self) -> None:
        slide = self._session.slide
        folder = str(slide.path.parent) if slide and slide.is_file else ""
        path, _ = QFileDialog.getOpenFileName(self, "Import nuclei", folder, dialog_filter())
        if path:
            self.load(path)
