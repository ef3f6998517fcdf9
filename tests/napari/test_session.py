"""Docks, slides and layers that are opened and closed: no nucleus is lost."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import Qt

from muse_core.jobs import DetectJob
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import AnnotationStore, StorePlace
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.panels.muse_panel import MusePanel

from ..slides.slide_files import write_ome_zarr
from .actions import click, press

JOB = Path(__file__).parent / "jobs" / "talking_job.py"


def _x(panel: MusePanel) -> list[float]:
    return sorted(panel.session.annotations.to_table()["x"])


def _close_dock(panel: MusePanel) -> None:
    """Close as by the button in the dock's title."""
    panel.session.viewer.window.remove_dock_widget(panel)


def test_a_closed_and_reopened_dock_has_the_same_nuclei(opened: MusePanel, qtbot: Any) -> None:
    viewer = opened.session.viewer
    opened.session.annotations.set_class([1], 2)
    _close_dock(opened)
    qtbot.wait(50)
    viewer.layers.selection.active = opened.session.image_layer
    press(opened, qtbot, Qt.Key.Key_V)
    assert opened.session.nuclei.layer.visible, "no panel, no keys"
    _, again = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    assert again is not opened
    assert again.session is opened.session
    assert [layer.name for layer in viewer.layers].count("Nuclei") == 1
    assert _x(again) == [100, 200, 300]
    assert [label.text() for label in again.legend.counts] == ["2", "1"]
    qtbot.wait(300)
    click(again, qtbot, 200, 150)
    assert again.session.nuclei.selected_ids.tolist() == [2]
    press(again, qtbot, Qt.Key.Key_2)
    assert [label.text() for label in again.legend.counts] == ["1", "2"]
    again.close()


def test_a_dock_closed_during_a_job_ends_it_and_keeps_the_nuclei(
    opened: MusePanel, qtbot: Any
) -> None:
    detection = opened.detection
    detection.runner._command = [sys.executable, str(JOB), "hang"]
    detection.start(DetectJob(slide=""), ())
    qtbot.waitUntil(lambda: _x(opened) == [50.5], timeout=60_000)
    _close_dock(opened)
    assert not detection.running
    assert _x(opened) == [50.5, 100, 200, 300], "what was found, and what was there before"


def test_the_nuclei_layer_comes_back_when_it_is_removed(opened: MusePanel, qtbot: Any) -> None:
    viewer, layer = opened.session.viewer, opened.session.nuclei.layer
    click(opened, qtbot, 200, 150)
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: layer in viewer.layers)
    viewer.add_points(np.zeros((2, 2)))
    qtbot.wait(100)
    opened.session.annotations.delete([2])
    qtbot.waitUntil(lambda: len(layer.data) == 2)
    press(opened, qtbot, Qt.Key.Key_Escape)


def test_a_removed_slide_takes_its_nuclei_away_and_brings_them_back(
    opened: MusePanel, small_slide: Path
) -> None:
    session = opened.session
    session.viewer.layers.remove(session.image_layer)
    assert session.slide is None
    assert len(session.nuclei.layer.data) == 0
    assert opened.detect.message.text() == "Open a slide to begin."
    assert not opened.edit.add.isEnabled()
    session.viewer.open(small_slide, plugin="napari-muse")
    assert _x(opened) == [100, 200, 300]
    assert len(session.nuclei.layer.data) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no file that is open")
@pytest.mark.parametrize("resting", [False, True])
def test_a_slide_whose_annotations_were_deleted_is_annotated_anew(
    opened: MusePanel, small_slide: Path, annotations_folder: Path, qtbot: Any, resting: bool
) -> None:
    session = opened.session
    for file in annotations_folder.iterdir():
        file.unlink()
    if resting:
        session.rest()
    session.viewer.layers.remove(session.image_layer)
    assert "has deleted or replaced its annotations" in opened.status.text()
    session.viewer.open(small_slide, plugin="napari-muse")
    assert _x(opened) == []
    session.annotations.append([50], [60], [1], [0.9], "m", 0.5)
    with AnnotationStore.open(next(annotations_folder.glob("*.muse")), read_only=True) as store:
        assert store.nuclei()["x"].tolist() == [50]


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "behind another"])
def test_annotations_that_went_while_their_slide_was_out_of_sight(
    opened: MusePanel, small_slide: Path, annotations_folder: Path, tmp_path: Path, closed: bool
) -> None:
    session, viewer = opened.session, opened.session.viewer
    first = session.image_layer
    Image.new("RGB", (60, 50), (230, 190, 210)).save(tmp_path / "other.png")
    viewer.open(tmp_path / "other.png", plugin="napari-muse")
    if closed:
        viewer.layers.remove(first)
    for file in annotations_folder.iterdir():
        file.unlink()
    if closed:
        viewer.open(small_slide, plugin="napari-muse")
    else:
        viewer.layers.selection.active = first
    assert session.slide is not None
    assert session.slide.path == small_slide
    assert _x(opened) == []
    session.annotations.append([50], [60], [1], [0.9], "m", 0.5)
    with AnnotationStore.open(next(annotations_folder.glob("*.muse")), read_only=True) as store:
        assert store.nuclei()["x"].tolist() == [50]


def test_annotations_damaged_while_they_are_open_are_closed(
    opened: MusePanel, annotations_folder: Path, qtbot: Any
) -> None:
    store = next(annotations_folder.glob("*.muse"))
    for file in (store, store.with_name(f"{store.name}-wal")):
        with file.open("r+b") as damaged:
            damaged.write(b"\xff" * file.stat().st_size)
    session = opened.session
    _close_dock(opened)
    qtbot.wait(50)
    _, again = session.viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    assert store.name in again.status.text()
    assert not len(session.nuclei.layer.data)
    again.close()


def test_a_dock_opens_again_though_the_annotations_were_deleted_meanwhile(
    opened: MusePanel, annotations_folder: Path, qtbot: Any
) -> None:
    session = opened.session
    _close_dock(opened)
    qtbot.wait(50)
    shutil.rmtree(annotations_folder)
    _, again = session.viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    assert _x(again) == []
    session.annotations.append([50], [60], [1], [0.9], "m", 0.5)
    assert _x(again) == [50]
    again.close()


def test_the_sample_slide_opens_from_the_menu(
    panel: MusePanel, cmu_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    notification_manager.records.clear()
    monkeypatch.setenv("MUSE_SAMPLE_DIR", str(tmp_path))
    shutil.copyfile(cmu_slide, tmp_path / cmu_slide.name)
    panel.session.viewer.open_sample("napari-muse", "cmu-1-small-region")
    qtbot.wait(50)
    assert panel.session.mpp == 0.499
    assert panel.session.viewer.canvas.overlays.scale_bar.visible
    assert not notification_manager.records


def test_an_ome_zarr_folder_opens_as_a_slide(panel: MusePanel, tmp_path: Path, qtbot: Any) -> None:
    levels = [np.full((600 // f, 800 // f, 3), 200, np.uint8) for f in (1, 2)]
    folder = write_ome_zarr(tmp_path / "s.zarr", levels)
    panel.session.viewer.open(folder, plugin="napari-muse")
    qtbot.wait(50)
    assert panel.session.slide is not None
    assert panel.session.image_layer.multiscale
    assert len(panel.session.image_layer.data) == 2


def test_the_models_classes_are_there_before_the_first_detection(
    panel: MusePanel, small_slide: Path
) -> None:
    entry = panel.detect.chosen_entry
    panel.session.viewer.open(small_slide, plugin="napari-muse")
    names = ClassScheme.from_json(entry.card.classes).names
    assert panel.session.annotations.scheme.names == names
    assert len(panel.legend.shown) == len(names)


def test_undo_after_other_classes_came(opened: MusePanel) -> None:
    annotations = opened.session.annotations
    annotations.set_class([3], 2)
    annotations.delete([1, 2, 3])
    annotations.adopt_scheme(ClassScheme.from_names(["tumor", "other"]))
    assert annotations.undo()
    assert annotations.to_table()["class_name"].tolist() == ["lymphocyte", "lymphocyte", "tumor"]
    assert annotations.scheme.names == ("lymphocyte", "tumor", "other")


def test_further_classes_get_keys_that_are_free(small_slide: Path) -> None:
    taken = ClassScheme.from_json(
        [{"name": "a", "color": "#0072b2", "key": "2"}, {"name": "b", "color": "#d55e00"}]
    )
    annotations = SlideAnnotations(taken, StorePlace(small_slide))
    annotations.add(1, 1, 1)
    annotations.adopt_scheme(ClassScheme.from_names(["c", "d"]))
    assert [c.key for c in annotations.scheme.classes] == ["2", "", "1", "3"]


def test_the_first_slide_is_brought_into_view(panel: MusePanel, small_slide: Path) -> None:
    panel.session.viewer.open(small_slide, plugin="napari-muse")
    slide = panel.session.require_slide()
    assert panel.session.nuclei.field_of_view().holds(slide.bounds)


def test_a_reopened_dock_shows_the_regions_once(opened: MusePanel, qtbot: Any) -> None:
    viewer = opened.session.viewer
    press(opened, qtbot, Qt.Key.Key_R)
    press(opened, qtbot, Qt.Key.Key_L)
    press(opened, qtbot, Qt.Key.Key_Escape)
    _close_dock(opened)
    qtbot.wait(50)
    names = [layer.name for layer in viewer.layers]
    assert "Regions" not in names, "nobody would keep them up to date"
    assert "Lasso" not in names
    _, again = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    qtbot.wait(50)
    assert [layer.name for layer in viewer.layers].count("Regions") == 1
    assert len(viewer.layers["Regions"].data) == 1
    again.close()


def test_a_store_that_cannot_be_read_is_named_and_left_alone(
    panel: MusePanel, small_slide: Path, annotations_folder: Path, qtbot: Any
) -> None:
    annotations_folder.mkdir()
    store = annotations_folder / f"{small_slide.name}.muse"
    store.write_bytes(b"no database" * 100)
    viewer = panel.session.viewer
    viewer.open(small_slide, plugin="napari-muse")
    assert store.name in panel.status.text()
    panel.status.say("")
    press(panel, qtbot, Qt.Key.Key_R)
    assert store.name in panel.status.text(), "the reason, not another one"
    panel.detect.start.click()
    assert store.name in panel.detect.message.text()
    assert not panel.detection.running
    _close_dock(panel)
    qtbot.wait(50)
    _, again = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    assert store.name in again.status.text(), "a panel that is opened later says it too"
    assert store.read_bytes().startswith(b"no database")
    again.close()
