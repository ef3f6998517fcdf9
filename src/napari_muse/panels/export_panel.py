"""Saving the nuclei as CSV."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QGroupBox, QLabel, QPushButton, QVBoxLayout

from muse_core.errors import UserError
from napari_muse.session import MuseSession


class ExportPanel(QGroupBox):
    """One button and what came of it."""

    def __init__(self, session: MuseSession) -> None:
        super().__init__("Export")
        self._session = session
        self.button = QPushButton("Save nuclei as CSV …")
        self.button.setToolTip("All nuclei of this slide, in pixels and microns, with class")
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.hide()
        whole = QVBoxLayout(self)
        whole.addWidget(self.button)
        whole.addWidget(self.message)
        self.button.clicked.connect(self._ask)

    def save(self, path: str | Path) -> None:
        """Save to a file and say so; a refusal is shown as a sentence."""
        try:
            n = self._session.export_csv(path)
            self.message.setText(f"{n:,} nuclei saved to {Path(path).name}.")
        except UserError as error:
            self.message.setText(str(error))
        self.message.show()

    def _ask(self) -> None:
        slide = self._session.slide
        suggested = str(slide.path.with_suffix(".csv")) if slide else "nuclei.csv"
        path, _ = QFileDialog.getSaveFileName(self, "Save nuclei", suggested, "CSV (*.csv)")
        if path:
            self.save(path)
