"""Folders dropped on the window: slides are opened, others are left to napari."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_muse.io.dropped_folders import DroppedFolders
from napari_muse.napari_compat import main_widget
from napari_muse.panels.muse_panel import MusePanel

from ...slides.slide_files import write_ome_zarr

NONE = Qt.KeyboardModifier.NoModifier


def _drop(*paths: Path, keys: Qt.KeyboardModifier = NONE) -> QDropEvent:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPointF(400, 300), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, keys
    )
    event.kept = data  # type: ignore[attr-defined]  # Qt does not own it.
    return event


def _zarr(folder: Path) -> Path:
    return write_ome_zarr(folder, [np.full((300, 400, 3), (235, 200, 220), dtype=np.uint8)])


@pytest.mark.parametrize("name", ["slide.zarr", "a folder"])
def test_an_ome_zarr_is_opened_as_a_slide(
    panel: MusePanel, tmp_path: Path, qtbot: Any, name: str
) -> None:
    path = _zarr(tmp_path / name)
    window, drop = main_widget(panel.session.viewer), _drop(path)
    # Qt hands a drop to the widget that the data were dragged over.
    over = QDragEnterEvent(
        QPoint(400, 300), drop.dropAction(), drop.mimeData(), drop.buttons(), drop.modifiers()
    )
    QApplication.sendEvent(window, over)
    QApplication.sendEvent(window, drop)
    qtbot.waitUntil(lambda: panel.session.slide is not None, timeout=60_000)
    assert panel.session.slide is not None
    assert (panel.session.slide.path, panel.session.mpp) == (path, 0.5)


def test_other_folders_are_left_to_napari(panel: MusePanel, tmp_path: Path, qtbot: Any) -> None:
    dropped = DroppedFolders(panel.session.viewer, panel)
    slide = _zarr(tmp_path / "slide.zarr")
    fluorescence = write_ome_zarr(
        tmp_path / "grey.zarr", [np.zeros((30, 40, 1), dtype=np.uint16)], omero={}
    )
    images, radiology, empty = (tmp_path / name for name in ("images", "scans", "empty"))
    for folder in (images, radiology, empty):
        folder.mkdir()
    Image.new("RGB", (30, 20)).save(images / "one.png")
    (radiology / "1.dcm").write_bytes(bytes(128) + b"DICM")
    for paths in ([fluorescence], [images], [radiology], [empty], [slide, images], []):
        assert not dropped.eventFilter(None, _drop(*paths)), paths
    assert not dropped.eventFilter(None, _drop(images / "one.png"))
    assert not dropped.eventFilter(None, _drop(slide, keys=Qt.KeyboardModifier.AltModifier))
    assert dropped.eventFilter(None, _drop(slide))
    qtbot.waitUntil(lambda: panel.session.slide is not None, timeout=60_000)
    dropped.close()
    assert not dropped.eventFilter(None, _drop(slide)), "nor is any while the panel is closed"
