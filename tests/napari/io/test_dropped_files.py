"""Files and folders dropped on the window: each is opened alone, whatever the others are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.settings import get_settings
from napari.utils.notifications import Notification, notification_manager
from PIL import Image
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_muse.io.dropped_files import DroppedFiles, plugin_for, slides_first
from napari_muse.io.reader import SLIDE_KEY
from napari_muse.napari_compat import drop_targets
from napari_muse.panels.muse_panel import MusePanel

from ...slides.slide_files import write_ome_zarr
from ..actions import when_asked

NONE = Qt.KeyboardModifier.NoModifier


def _drop(*paths: Path, keys: Qt.KeyboardModifier = NONE) -> QDropEvent:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPointF(400, 300), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, keys
    )
    event.kept = data  # type: ignore[attr-defined]  # Qt does not own it.
    return event


def _let_fall(panel: MusePanel, drop: QDropEvent) -> None:
    """Send a drop; Qt hands it to the widget that the data were dragged over."""
    window, welcome = drop_targets(panel.session.viewer)
    window = welcome if welcome.isVisible() else window
    over = QDragEnterEvent(
        QPoint(400, 300), drop.dropAction(), drop.mimeData(), drop.buttons(), drop.modifiers()
    )
    QApplication.sendEvent(window, over)
    QApplication.sendEvent(window, drop)


def _zarr(folder: Path) -> Path:
    return write_ome_zarr(folder, [np.full((300, 400, 3), (235, 200, 220), dtype=np.uint8)])


@pytest.mark.parametrize("name", ["slide.zarr", "a folder"])
def test_an_ome_zarr_is_opened_as_a_slide(
    panel: MusePanel, tmp_path: Path, qtbot: Any, name: str
) -> None:
    path = _zarr(tmp_path / name)
    _let_fall(panel, _drop(path))
    qtbot.waitUntil(lambda: panel.session.slide is not None, timeout=60_000)
    assert panel.session.slide is not None
    assert (panel.session.slide.path, panel.session.mpp) == (path, 0.5)


def test_other_folders_are_left_to_napari(panel: MusePanel, tmp_path: Path, qtbot: Any) -> None:
    dropped = DroppedFiles(panel.session.viewer, panel)
    slide = _zarr(tmp_path / "slide.zarr")
    fluorescence = write_ome_zarr(
        tmp_path / "grey.zarr", [np.zeros((30, 40, 1), dtype=np.uint16)], omero={}
    )
    images, radiology, empty = (tmp_path / name for name in ("images", "scans", "empty"))
    for folder in (images, radiology, empty):
        folder.mkdir()
    Image.new("RGB", (30, 20)).save(images / "one.png")
    (radiology / "1.dcm").write_bytes(bytes(128) + b"DICM")
    for paths in ([fluorescence], [images], [radiology], [empty], [images, empty], []):
        assert not dropped.eventFilter(None, _drop(*paths)), paths
    elsewhere = _drop(slide)
    elsewhere.mimeData().setUrls([QUrl("https://example.org/slide.zarr")])
    assert not dropped.eventFilter(None, elsewhere)
    assert not dropped.eventFilter(None, _drop(slide, keys=Qt.KeyboardModifier.AltModifier))
    assert dropped.eventFilter(None, _drop(slide))
    qtbot.waitUntil(lambda: panel.session.slide is not None, timeout=60_000)
    dropped.close()
    assert not dropped.eventFilter(None, _drop(slide)), "nor is any while the panel is closed"


def test_of_several_files_all_that_can_be_read_are_opened(
    panel: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    first = _picture(tmp_path / "first.tif")
    last = _picture(tmp_path / "last.png")
    damaged, folder = tmp_path / "cut.svs", _zarr(tmp_path / "third.zarr")
    damaged.write_bytes(b"II*\0")
    notification_manager.records.clear()
    viewer = panel.session.viewer
    _let_fall(panel, _drop(first, damaged, folder, last))
    qtbot.waitUntil(lambda: len(_slides(viewer)) == 3, timeout=60_000)
    assert _slides(viewer) == [first, folder, last]
    said = [n for n in notification_manager.records if "cut.svs" in n.message]
    assert [type(n) for n in said] == [Notification], "a sentence, without a traceback"


def test_all_that_lies_in_the_folder_of_a_case_is_dropped(
    panel: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    slide, scans = _picture(tmp_path / "slide.tif"), tmp_path / "scans"
    scans.mkdir()
    Image.new("RGB", (30, 20)).save(scans / "one.png")
    beside = [tmp_path / f"slide.tif.muse{end}" for end in (".features", ".lock", "-wal")]
    beside[0].mkdir()
    for path in beside[1:]:
        path.touch()
    shown_by_then: list[Path] = []
    notification_manager.records.clear()

    def answer(dialog: QWidget) -> None:
        shown_by_then.append(panel.session.require_slide().path)
        dialog.close()

    when_asked(answer)
    _let_fall(panel, _drop(scans, slide, *beside))
    qtbot.waitUntil(lambda: bool(shown_by_then), timeout=60_000)
    assert shown_by_then == [slide], "napari asks about the folder of pictures alone, last"
    assert not notification_manager.records


@pytest.mark.parametrize("nuclei_come", ["first", "last"])
def test_nuclei_go_to_the_slide_they_are_dropped_with(
    opened: MusePanel, tmp_path: Path, qtbot: Any, nuclei_come: str
) -> None:
    session, shown = opened.session, opened.session.annotations
    slides = [_picture(tmp_path / "case.tif"), _picture(tmp_path / "case 2.png")]
    nuclei = [tmp_path / "case 2_nuclei.csv", tmp_path / "case.csv"]
    for at, path in enumerate(nuclei):
        path.write_text("x,y,class\n" + "5,5,tumor\n" + at * "50,50,tumor\n")
    dropped = (*nuclei, *slides) if nuclei_come == "first" else (*slides, *nuclei)
    _let_fall(opened, _drop(*dropped))
    qtbot.waitUntil(lambda: session.annotations.counts().sum() == 1, timeout=60_000)
    assert session.require_slide().path == slides[1]
    assert len(shown.to_table()) == 3, "the slide that was open before has no more"
    (first,) = (x for x in session.viewer.layers if x.name.startswith("case.tif"))
    session.adopt(first)
    assert session.annotations.counts().sum() == 2


def test_slides_are_opened_before_nuclei(tmp_path: Path) -> None:
    slides = [_picture(tmp_path / name) for name in ("b.png", "a.png")]
    of_a, of_none = tmp_path / "a.csv", tmp_path / "nuclei.csv"
    for path in (of_a, of_none):
        path.write_text("x,y,class\n1,2,tumor\n")
    assert slides_first([of_none, of_a, *slides]) == [*slides, of_a, of_none]


def test_the_welcome_that_is_shown_without_layers_takes_drops(
    make_napari_viewer: Any, tmp_path: Path, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True, show_welcome_screen=True)
    _, panel = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    viewer.layers.clear()
    _, welcome = drop_targets(viewer)
    qtbot.waitUntil(welcome.isVisible)
    damaged = tmp_path / "cut.svs"
    damaged.write_bytes(b"II*\0")
    notification_manager.records.clear()
    _let_fall(panel, _drop(damaged))
    qtbot.waitUntil(lambda: bool(notification_manager.records))
    assert not welcome.property("drag"), "it does not look as if files were over it"
    _let_fall(panel, _drop(_picture(tmp_path / "slide.tif")))
    qtbot.waitUntil(lambda: panel.session.slide is not None, timeout=60_000)
    assert not welcome.isVisible()


def test_napari_is_asked_only_where_it_is_not_clear_who_reads_a_file(tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.new("L", (90, 70)).save(mask)
    nuclei, numbers = tmp_path / "nuclei.csv", tmp_path / "numbers.csv"
    nuclei.write_text("x,y,class\n1,2,tumor\n")
    numbers.write_text("time,weight\n1,2\n")
    damaged = tmp_path / "cut.svs"
    damaged.write_bytes(b"II*\0")
    for_muse = (_picture(tmp_path / "slide.tif"), damaged, nuclei)
    assert [plugin_for(path) for path in for_muse] == ["napari-muse"] * 3
    assert [plugin_for(path) for path in (mask, numbers)] == [None, None]


def test_preferences_of_the_user_come_first(tmp_path: Path) -> None:
    path, plugins = _picture(tmp_path / "slide.tif"), get_settings().plugins
    before = plugins.extension2reader
    plugins.extension2reader = {"*.tif": "another plugin"}
    try:
        assert plugin_for(path) is None
    finally:
        plugins.extension2reader = before
    assert plugin_for(path) == "napari-muse"


def _picture(path: Path) -> Path:
    Image.new("RGB", (90, 70), (235, 200, 220)).save(path)
    return path


def _slides(viewer: Any) -> list[Path]:
    return [x.metadata[SLIDE_KEY].path for x in viewer.layers if SLIDE_KEY in x.metadata]
