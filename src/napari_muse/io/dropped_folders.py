"""Folders dropped on the window: those that are slides are opened as slides, without a question."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QWidget

from muse_core.errors import UserError
from muse_core.slides import can_open, open_slide
from muse_core.slides.dicom_series import only_slide
from napari_muse.napari_compat import main_widget

if TYPE_CHECKING:
    from napari.components import ViewerModel

_PLUGIN = "napari-muse"


class DroppedFolders(QObject):
    """Opens folders that are dropped while the panel is open, if each of them is a slide.

    napari asks for any folder which of all plugins that accept folders is to read it, whatever is
    in it. Other folders are left to napari, and all while a key chooses what napari does.
    """

    def __init__(self, viewer: ViewerModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._closed = False
        main_widget(viewer).installEventFilter(self)

    def close(self) -> None:
        """Leave all folders to napari."""
        self._closed = True

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Take the drop of slides' folders; returns whether it was one."""
        if not isinstance(event, QDropEvent) or event.type() != QEvent.Type.Drop:
            return False
        if self._closed or event.modifiers() != Qt.KeyboardModifier.NoModifier:
            return False
        data = event.mimeData()
        folders = [Path(url.toLocalFile()) for url in data.urls()] if data is not None else []
        if not folders or not all(folder.is_dir() for folder in folders):
            return False
        slides = [slide_of_folder(folder) for folder in folders]
        if None in slides:
            return False
        # Not within the drop, which the other program waits for.
        QTimer.singleShot(0, partial(self._viewer.open, slides, plugin=_PLUGIN))
        return True


def slide_of_folder(folder: Path) -> Path | None:
    """The path by which the slide that a folder is, or that all its DICOM files are, is opened.

    Returns:
        None if it is no slide that MUSE can show, or several.
    """
    try:
        slide = folder if can_open(folder) else only_slide(folder)
        if slide is not None:
            open_slide(slide).close()
    except (OSError, UserError):
        return None
    return slide
