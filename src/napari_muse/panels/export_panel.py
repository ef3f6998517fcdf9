"""Panel for files: save the slide's nuclei, and import those of other programs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtWidgets import QFileDialog

from muse_core.errors import UserError
from muse_core.nuclei import dialog_filter
from muse_core.nuclei.store.locate import STORE_SUFFIX
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
        self.follow(self._on_reading, self._files.reading)
        self.follow(self._on_writing, self._files.writing)
        self.follow(self._on_end, self._files.ended)
        self.in_the_end(self._files.close)
        self.follow_now(self._on_slide, session.slide_changed)

    @forms.button("Save nuclei …")
    def button(self) -> None:
        """All nuclei of this slide as CSV, GeoJSON for QuPath, Parquet or AnnData."""
        suggested, kinds = suggested_export(self._session.slide), dialog_filter()
        if path := self._ask(QFileDialog.getSaveFileName, "Save nuclei", suggested, kinds):
            self.save(path)

    @forms.button("Import nuclei …")
    def open(self) -> None:
        """Take over the nuclei of another program: GeoJSON, Parquet, AnnData, CSV.

        Dropping the file on the window does the same, with annotations as regions.
        """
        slide, kinds = self._session.slide, dialog_filter()
        folder = str(slide.path.parent) if slide and slide.is_file else ""
        if path := self._ask(QFileDialog.getOpenFileName, "Import nuclei", folder, kinds):
            self.load(path)

    @forms.button("Save project as …")
    def project(self) -> None:
        """Keep the nuclei, regions and features of this image in a file of your choice.

        MUSE goes on there; while the image has none they are in your own data folder.
        """
        suggested, kinds = suggested_project(self._session.slide), f"MUSE project (*{STORE_SUFFIX})"
        # What is there is not replaced.
        ask = partial(QFileDialog.getSaveFileName, options=QFileDialog.Option.DontConfirmOverwrite)
        if path := self._ask(ask, "Save project", suggested, kinds):
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

    def _ask(self, dialog: Callable[..., tuple[str, str]], *shown: str) -> str:
        """Ask for a file with a function of QFileDialog; "" if none is chosen.

        Raises:
            UserError: Another slide has come meanwhile, as one may.
        """
        annotations = self._session.annotations
        path, _ = dialog(self, *shown)
        if path and annotations is not self._session.annotations:
            raise UserError("Another slide is shown by now; nothing was saved or taken over.")
        return path

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
