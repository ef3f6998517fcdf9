"""Panel for files: save the slide's nuclei, and import those of other programs."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog

from muse_core.errors import UserError
from muse_core.nuclei import dialog_filter
from muse_core.nuclei.store.locate import STORE_SUFFIX
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.io.export import suggested_export, suggested_project
from napari_muse.io.file_jobs import FileJobs
from napari_muse.panels import forms
from napari_muse.session import MuseSession


class ExportPanel(forms.Section):
    """Buttons for files, and a sentence on the last outcome."""

    def __init__(self, session: MuseSession) -> None:
        super().__init__("Files", session)
        self._files = FileJobs(session)
        self.outlines = forms.check_box(
            "Outlines of annotations are nuclei",
            "Some programs write each nucleus as an annotation; otherwise annotations are regions",
        )
        self.message = forms.wrapped("")
        self.message.hide()
        self.cancel.hide()
        buttons = forms.row(self.button, self.open, self.cancel)
        forms.column(self, buttons, self.project, self.outlines, self.message)
        self.follow(self._on_slide, session.slide_changed)
        self.follow(self._on_reading, self._files.reading)
        self.follow(self._on_writing, self._files.writing)
        self.follow(self._on_end, self._files.ended)
        self.in_the_end(self._files.close)
        self._on_slide()

    @forms.button("Save nuclei …")
    def button(self) -> None:
        """All nuclei of this slide as CSV, GeoJSON for QuPath, Parquet or AnnData."""
        annotations, suggested = self._session.annotations, suggested_export(self._session.slide)
        path, _ = QFileDialog.getSaveFileName(self, "Save nuclei", suggested, dialog_filter())
        if path:
            self._require_same(annotations)
            self.save(path)

    @forms.button("Import nuclei …")
    def open(self) -> None:
        """Take over the nuclei of another program: GeoJSON, Parquet, AnnData, CSV.

        Dropping the file on the window does the same, with annotations as regions.
        """
        annotations, slide = self._session.annotations, self._session.slide
        folder = str(slide.path.parent) if slide and slide.is_file else ""
        path, _ = QFileDialog.getOpenFileName(self, "Import nuclei", folder, dialog_filter())
        if path:
            self._require_same(annotations)
            self.load(path)

    @forms.button("Save project as …")
    def project(self) -> None:
        """Keep the nuclei, regions and features of this image in a file of your choice.

        MUSE goes on there; while the image has none they are in your own data folder.
        """
        annotations = self._session.annotations
        suggested, kinds = suggested_project(self._session.slide), f"MUSE project (*{STORE_SUFFIX})"
        # What is there is not replaced.
        options = QFileDialog.Option.DontConfirmOverwrite
        path, _ = QFileDialog.getSaveFileName(
            self, "Save project", suggested, kinds, options=options
        )
        if path:
            self._require_same(annotations)
            self._files.save_project(path)

    @forms.button("Cancel")
    def cancel(self) -> None:
        """Stop reading; nothing is taken over."""
        self.cancel.setEnabled(False)
        self._files.cancel()

    @property
    def busy(self) -> bool:
        """Whether a file is being read or written."""
        return self._files.busy

    def save(self, path: str | Path) -> None:
        """Save to a file in the background, and report the outcome."""
        self._files.save(path)

    def load(self, path: str | Path) -> None:
        """Read a file in the background and import its nuclei."""
        self._files.load(path, self.outlines.isChecked())

    def _require_same(self, annotations: SlideAnnotations) -> None:
        """Raise UserError if another slide has come since a file was asked for, as one may."""
        if annotations is not self._session.annotations:
            raise UserError("Another slide is shown by now; nothing was saved or taken over.")

    def _say(self, sentence: str) -> None:
        self.message.setText(sentence)
        self.message.show()

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
        self.button.setEnabled(on)
        self.open.setEnabled(on)

    def _on_slide(self) -> None:
        # Beside a file its nuclei are at hand already.
        slide = self._session.slide
        self.project.setVisible(slide is not None and not slide.is_file)
