"""Files and folders dropped on the window: each is opened alone, without a question where clear."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.plugins.utils import get_preferred_reader
from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QDragLeaveEvent, QDropEvent
from qtpy.QtWidgets import QWidget

from muse_core.classify.feature_folder import FEATURES_SUFFIX
from muse_core.errors import UserError
from muse_core.nuclei.store.locate import STORE_SUFFIX
from muse_core.nuclei.store.projects import BESIDE_STORE
from muse_core.slides import Slide, can_open, open_slide
from muse_core.slides.dicom_series import only_slide
from napari_muse.io.reader import get_reader, read_nucleus_files, read_slide
from napari_muse.napari_compat import drop_targets, open_as_dropped

if TYPE_CHECKING:
    from napari.components import ViewerModel

_PLUGIN = "napari-muse"
_PICTURES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
"""Suffixes of pictures of any kind, which other plugins read too."""
_MIDDLE_PX = 1024


class DroppedFiles(QObject):
    """Opens what is dropped while the panel is open: files, and folders that are slides.

    For a slide napari asks which of all plugins is to read it, its own included, which cannot. Of
    several files it opens those before the first that cannot be read. Folders that are no slides
    are left to napari, last, and everything while a key chooses what napari does. What MUSE keeps
    beside a store comes with the store.
    """

    def __init__(self, viewer: ViewerModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._closed = False
        for target in drop_targets(viewer):
            target.installEventFilter(self)

    def close(self) -> None:
        """Leave everything to napari."""
        self._closed = True

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Take the drop of files and of slides' folders; returns whether it was one."""
        if not isinstance(event, QDropEvent) or event.type() != QEvent.Type.Drop:
            return False
        if self._closed or event.modifiers() != Qt.KeyboardModifier.NoModifier:
            return False
        data = event.mimeData()
        urls = data.urls() if data is not None else []
        if not urls or not all(url.isLocalFile() for url in urls):
            return False
        paths = [Path(url.toLocalFile()) for url in urls]
        paths = [path for path in paths if not lies_beside_store(path)] or paths
        found = [slide_of_folder(path) if path.is_dir() else path for path in paths]
        to_open = [path for path in found if path is not None]
        if not to_open:
            return False
        others = [path for path, known in zip(paths, found, strict=True) if known is None]
        if isinstance(watched, QWidget):
            # Removes what has shown since the drag began that files can be dropped here.
            watched.dragLeaveEvent(QDragLeaveEvent())
        # Not within the drop, which the other program waits for.
        QTimer.singleShot(0, partial(self._open, to_open, others))
        return True

    def _open(self, paths: Sequence[Path], others: Sequence[Path]) -> None:
        for path in (*slides_first(paths), *others):
            try:
                plugin = None if path in others else plugin_for(path)
                open_as_dropped(self._viewer, path, plugin)
            except UserError as error:
                # Not the error itself, with which napari would print and offer a traceback.
                show_error(str(error))
            except Exception:
                # Reported like any error in an event handler; the other files are still opened.
                notification_manager.receive_error(*sys.exc_info())


def lies_beside_store(path: Path) -> bool:
    """Whether a file or folder is what MUSE or SQLite keeps beside a store: features, a lock."""
    endings = tuple(f"{STORE_SUFFIX}{end}" for end in (*BESIDE_STORE, FEATURES_SUFFIX) if end)
    return path.name.lower().endswith(endings)


def slides_first(paths: Sequence[Path]) -> list[Path]:
    """Order files so that nuclei are taken over into the slide that was dropped with them.

    Returns:
        Slides, each followed by the files of nuclei that are named after it; last, other files of
        nuclei. A file of nuclei is of the slide with the longest name that its own begins with.
    """
    nuclei = [path for path in paths if get_reader(str(path)) is read_nucleus_files]
    slides = [path for path in paths if path not in nuclei]
    by_length = sorted(slides, key=lambda slide: len(slide.stem), reverse=True)
    slide_of = {
        path: next((slide for slide in by_length if path.name.startswith(slide.stem)), None)
        for path in nuclei
    }
    ordered = [each for slide in slides for each in (slide, *_of(slide, slide_of))]
    return [*ordered, *_of(None, slide_of)]


def _of(slide: Path | None, slide_of: Mapping[Path, Path | None]) -> list[Path]:
    return [path for path, its in slide_of.items() if its == slide]


def plugin_for(path: Path) -> str | None:
    """The plugin that reads a file or a slide's folder without a question.

    Returns:
        None if napari is to choose: its preferences name a plugin, or it is not clear that the file
        is for MUSE, as with grey pictures, which may be masks. It asks if several can read it.
    """
    if get_preferred_reader(path):
        return None
    reader = get_reader(str(path))
    is_any_picture = reader is read_slide and path.suffix.lower() in _PICTURES
    if reader is None or (is_any_picture and not _is_slide(path, in_colour=True)):
        return None
    return _PLUGIN


def slide_of_folder(folder: Path) -> Path | None:
    """The path by which the slide that a folder is, or that all its DICOM files are, is opened.

    Returns:
        None if it is no slide that MUSE can show, or several.
    """
    try:
        slide = folder if can_open(folder) else only_slide(folder)
    except (OSError, UserError):
        return None
    return slide if slide is not None and _is_slide(slide) else None


def _is_slide(path: Path, in_colour: bool = False) -> bool:
    try:
        slide = open_slide(path)
        try:
            return not in_colour or _has_colours(slide)
        finally:
            slide.close()
    except (OSError, UserError):
        return False


def _has_colours(slide: Slide) -> bool:
    """Whether the three channels differ anywhere in the middle of the coarsest level."""
    level = slide.levels[-1]
    top, left = (max(0, side - _MIDDLE_PX) // 2 for side in level.shape[:2])
    middle = np.asarray(level[top : top + _MIDDLE_PX, left : left + _MIDDLE_PX])
    return bool(np.ptp(middle, axis=-1).any())
