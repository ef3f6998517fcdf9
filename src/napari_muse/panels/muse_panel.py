"""The dock: its sections one below the other, and their common life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from napari_muse.detection import Detection
from napari_muse.keys import Keys
from napari_muse.panels.detect_panel import DetectPanel
from napari_muse.panels.edit_panel import EditPanel
from napari_muse.panels.export_panel import ExportPanel
from napari_muse.panels.legend_panel import LegendPanel
from napari_muse.session import MuseSession

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QCloseEvent

_WIDTH_PX = 350
_MARGIN_PX = 5


class MusePanel(QWidget):
    """Detect, look, correct, export."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # napari hands plugins a proxy whose layers are proxies too; identity needs the real ones.
        self.session = MuseSession.of(getattr(napari_viewer, "__wrapped__", napari_viewer))
        self.detection = Detection(self.session, parent=self)
        self.detect = DetectPanel(self.session, self.detection)
        self.legend = LegendPanel(self.session)
        self.keys = Keys(self.session, self.legend.choose_new)
        self.edit = EditPanel(self.session, self.keys)
        self.export = ExportPanel(self.session)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(_MARGIN_PX, _MARGIN_PX, _MARGIN_PX, _MARGIN_PX)
        for section in (self.detect, self.legend, self.edit, self.export):
            column.addWidget(section)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(content)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll)
        self.setMinimumWidth(_WIDTH_PX)
        self._released = False
        # The window may go without a word to the panel; its job must not outlive it.
        self.destroyed.connect(self.detection.runner.close)
        self.destroyed.connect(self.session.rest)

    def release(self) -> None:
        """Stop a running job and let go of the session, which stays with its nuclei."""
        if self._released:
            return
        self._released = True
        self.detection.close()
        self.keys.close()
        for section in (self.detect, self.legend, self.edit):
            section.disconnect_all()
        self.session.rest()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Let go when napari takes the widget out of a closed dock."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self.release()
        super().changeEvent(event)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Let go when the widget itself is closed."""
        self.release()
        super().closeEvent(event)
