"""Annotations and models dropped on the window."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from napari.errors import ReaderPluginError
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from muse_core.models.registry import resolve_model
from napari_muse.panels.muse_panel import MusePanel


def _drop(panel: MusePanel, path: Path) -> list[str]:
    """Drop a file on the window; returns what is said by and by."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    event = QDropEvent(QPointF(400, 300), Qt.DropAction.CopyAction, data, left, none)
    notification_manager.records.clear()
    try:
        panel.session.viewer.window._qt_viewer.dropEvent(event)
    except ReaderPluginError as error:
        # As Qt's event loop hands it on.
        notification_manager.receive_error(type(error), error, error.__traceback__)
    return [n.message for n in notification_manager.records]


@pytest.fixture
def beside(opened: MusePanel, annotations_folder: Path, tmp_path: Path) -> Path:
    """The store of the slide, which is closed, in a folder of its own."""
    opened.session.viewer.layers.remove(opened.session.image_layer)
    (tmp_path / "moved").mkdir()
    path = tmp_path / "moved" / "anything.muse"
    shutil.move(next(annotations_folder.glob("*.muse")), path)
    return path


@pytest.mark.parametrize("name", ["small.tif", "renamed.tif"])
def test_annotations_open_their_slide(
    opened: MusePanel,
    beside: Path,
    small_slide: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
    name: str,
) -> None:
    monkeypatch.delenv("MUSE_ANNOTATIONS")
    (beside.parent / "other.tif").write_bytes(b"another slide")
    shutil.copy(small_slide, beside.with_name(name))
    assert not _drop(opened, beside)
    assert opened.session.slide is not None
    assert opened.session.slide.path == beside.with_name(name)
    assert opened.session.annotations.store.path == beside
    assert opened.session.nuclei.shown_ids.tolist() == [1, 2, 3]


def test_annotations_of_the_slide_that_is_open(
    opened: MusePanel, annotations_folder: Path, qtbot: Any
) -> None:
    layer = opened.session.image_layer
    assert not _drop(opened, next(annotations_folder.glob("*.muse")))
    assert opened.status.text() == "small.tif is open already."
    qtbot.waitUntil(lambda: len(opened.session.viewer.layers) == 2)
    assert opened.session.image_layer is layer


def test_a_copy_of_annotations_is_not_shown_as_others(
    opened: MusePanel, annotations_folder: Path, tmp_path: Path
) -> None:
    used = next(annotations_folder.glob("*.muse"))
    opened.session.rest()
    _, why = _drop(opened, Path(shutil.copy(used, tmp_path / "backup.muse")))
    assert why == (
        f"backup.muse is a copy: the nuclei of small.tif are in {used}. Put it in their place to go"
        " on with it."
    )


def test_a_project_that_was_moved_is_used_where_it_is_now(
    opened: MusePanel, tmp_path: Path, small_slide: Path, qtbot: Any
) -> None:
    saved, moved = tmp_path / "saved.muse", tmp_path / "elsewhere" / "moved.muse"
    opened.export._files.save_project(saved)
    qtbot.waitUntil(lambda: not opened.export.busy)
    viewer = opened.session.viewer
    viewer.layers.remove(opened.session.image_layer)
    moved.parent.mkdir()
    shutil.move(saved, moved)
    viewer.open(small_slide, plugin="napari-muse")
    assert f"saved as {saved}, which is not there" in opened.status.text()
    assert not opened.session.nuclei.shown_ids.size
    assert not _drop(opened, moved)
    assert opened.session.nuclei.shown_ids.tolist() == [1, 2, 3]
    assert opened.session.annotations.store.path == moved
    qtbot.waitUntil(lambda: len(viewer.layers) == 2)
    assert opened.session.trouble == ""
    opened.session.rest()
    _, why = _drop(opened, Path(shutil.copy(moved, saved)))
    assert why.startswith("saved.muse is a copy"), "what is used is there"


def test_annotations_without_their_slide_name_it(opened: MusePanel, beside: Path) -> None:
    _, why = _drop(opened, beside)
    assert why == (
        "anything.muse holds the nuclei of the slide small.tif, which does not lie beside it; put"
        " both into one folder, or open the slide."
    )


def test_a_model_is_said_to_be_one(opened: MusePanel, tmp_path: Path) -> None:
    known = resolve_model("muse-small")
    _, why = _drop(opened, known)
    assert why == f"{known.name} is a model and no image. It can be chosen in the tab Detect."
    _, why = _drop(opened, Path(shutil.copy(known, tmp_path / "mine.safetensors")))
    assert why.startswith("mine.safetensors is a model and no image. Copied to ")


def test_why_nuclei_cannot_be_read_is_said(opened: MusePanel, tmp_path: Path) -> None:
    path = tmp_path / "cut.geojson"
    path.write_text('{"type": "FeatureCollection", "features": [')
    naparis, why = _drop(opened, path)
    assert "gave an error" in naparis
    assert why.startswith("cut.geojson ")
