"""Several slides in one window: one is shown, and only its file is open."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from muse_core.nuclei.store import AnnotationStore, StorePlace
from muse_core.nuclei.store.locate import STORE_SUFFIX
from napari_muse.annotations.class_edits import ClassEdits
from napari_muse.layers.drawn_areas import area_layer
from napari_muse.panels.muse_panel import MusePanel
from napari_muse.session import MuseSession

from .actions import press


def _open_files(*paths: Path) -> list[str]:
    wanted = {str(path.resolve()) for path in paths}
    return [f.path for f in psutil.Process().open_files() if f.path in wanted]


def _open_stores() -> set[Path]:
    open_files = (Path(f.path) for f in psutil.Process().open_files())
    return {path for path in open_files if path.suffix == STORE_SUFFIX}


def _units_warnings() -> list[Any]:
    return [n for n in notification_manager.records if "units" in n.message]


@pytest.fixture
def two(opened: MusePanel, cmu_slide: Path, qtbot: Any) -> tuple[MusePanel, Any, Any]:
    """The panel with two slides open, and their layers; the second is the current one."""
    first = opened.session.image_layer
    opened.session.viewer.open(cmu_slide, plugin="napari-muse")
    qtbot.wait(50)
    return opened, first, opened.session.image_layer


def test_a_slide_without_the_class_of_new_nuclei_is_opened(
    opened: MusePanel, cmu_slide: Path
) -> None:
    session = opened.session
    for _ in range(9):
        ClassEdits(session.annotations).add()
    opened.legend.choose_new(10)
    assert session.nuclei.new_class == session.annotations.class_ids[10]
    session.viewer.open(cmu_slide, plugin="napari-muse")
    assert session.slide is not None
    assert session.slide.path == cmu_slide
    assert len(session.annotations.class_ids) < 10
    assert session.nuclei.new_class == session.annotations.class_ids[0]
    assert [box.isChecked() for box in opened.legend.for_new].index(True) == 0


def test_another_slide_is_told_of_and_nothing_else(
    two: tuple[MusePanel, Any, Any], qtbot: Any
) -> None:
    panel, first, _ = two
    session = panel.session
    told: list[str] = []
    for name in ("slide_changed", "annotations_changed", "regions_changed", "settled"):
        getattr(session, name).connect(partial(_note, told, name, session))
    session.viewer.layers.selection.active = first
    assert told == ["slide_changed", "annotations_changed"]


def _note(told: list[str], name: str, session: MuseSession) -> None:
    """Note a signal, whose listeners find the nuclei of the slide shown."""
    assert session.nuclei._annotations is session.annotations
    told.append(name)


def test_the_current_slide_is_the_one_that_is_seen(
    two: tuple[MusePanel, Any, Any], qtbot: Any
) -> None:
    panel, first, second = two
    session, selection = panel.session, panel.session.viewer.layers.selection
    assert (first.visible, second.visible) == (False, True)
    selection.active = first
    assert (first.visible, second.visible) == (True, False)
    assert session.image_layer is first
    assert len(session.nuclei.layer.data) == 3
    assert session.nuclei.field_of_view().intersect(session.require_slide().bounds)
    second.visible = True
    assert session.image_layer is second, "the eye in the list chooses too"
    assert (first.visible, second.visible) == (False, True)
    assert len(session.nuclei.layer.data) == 0
    second.visible = False
    assert session.image_layer is second, "one may look at the nuclei alone"
    assert not first.visible
    session.viewer.layers.remove(second)
    assert first.visible
    assert session.image_layer is first


def test_what_is_drawn_on_a_slide_is_seen_with_it(
    two: tuple[MusePanel, Any, Any], qtbot: Any
) -> None:
    panel, first, second = two
    session = panel.session
    areas = area_layer(session.viewer, session.slide)
    hidden = session.viewer.add_shapes([np.eye(2) * 9], shape_type="line", visible=False)
    session.viewer.layers.selection.active = first
    assert not areas.visible
    session.viewer.layers.selection.active = second
    assert areas.visible
    assert not hidden.visible, "what a person has hidden stays so"


def test_only_the_current_slide_has_its_file_open(
    two: tuple[MusePanel, Any, Any], small_slide: Path, cmu_slide: Path, qtbot: Any
) -> None:
    panel, first, second = two
    session = panel.session
    pixels = np.asarray(second.data[0][900:910, 1000:1010])
    assert _open_files(small_slide, cmu_slide) == [str(cmu_slide.resolve())]
    session.viewer.layers.selection.active = first
    qtbot.wait(100)
    assert _open_files(cmu_slide) == []
    session.viewer.layers.selection.active = second
    np.testing.assert_array_equal(second.data[0][900:910, 1000:1010], pixels)
    assert _open_files(small_slide, cmu_slide) == [str(cmu_slide.resolve())]
    session.viewer.layers.remove(second)
    qtbot.wait(50)
    assert _open_files(cmu_slide) == []
    session.viewer.window.remove_dock_widget(panel)
    assert _open_files(small_slide, cmu_slide) == []
    first.refresh()
    assert np.asarray(first.data)[100, 100].tolist() == [80, 50, 130], "it opens when looked at"


def test_only_the_current_slide_has_its_annotations_open(
    two: tuple[MusePanel, Any, Any], qtbot: Any
) -> None:
    panel, first, second = two
    session = panel.session
    session.annotations.add(50, 50, session.annotations.class_ids[0])
    there = session.annotations.path
    assert there in _open_stores()
    session.viewer.layers.selection.active = first
    qtbot.wait(50)
    before = session.annotations.counts().sum()
    assert _open_stores() == {session.annotations.path}
    # Another program can edit the one that is not shown; what it does is seen when it is.
    with AnnotationStore.open(there) as store:
        store.add_many([90], [90], [int(store.rows()["class_id"][0])])
    session.viewer.layers.selection.active = second
    qtbot.wait(50)
    session.annotations.add(130, 130, session.annotations.class_ids[0])
    assert session.annotations.counts().sum() == 3
    assert _open_stores() == {there}
    session.viewer.layers.selection.active = first
    assert session.annotations.counts().sum() == before


def test_annotations_spoilt_while_out_of_sight_are_named_and_left_alone(
    two: tuple[MusePanel, Any, Any], qtbot: Any
) -> None:
    panel, first, second = two
    session = panel.session
    session.annotations.add(50, 50, session.annotations.class_ids[0])
    there = session.annotations.path
    session.viewer.layers.selection.active = first
    there.write_bytes(b"spoilt" * 1000)
    session.viewer.layers.selection.active = second
    qtbot.wait(50)
    assert there.name in session.trouble
    assert not session.attempt(lambda: session.annotations.add(70, 70, 1))
    assert there.read_bytes() == b"spoilt" * 1000


def test_a_slide_that_has_gone_is_named(
    two: tuple[MusePanel, Any, Any], small_slide: Path, qtbot: Any
) -> None:
    panel, first, _ = two
    small_slide.unlink()
    panel.session.viewer.layers.selection.active = first
    assert small_slide.name in panel.status.text()


def test_a_copy_of_a_slide_that_was_closed_can_be_edited(
    opened: MusePanel, small_slide: Path, tmp_path: Path, qtbot: Any
) -> None:
    session = opened.session
    (tmp_path / "copies").mkdir()
    copied = Path(shutil.copy(small_slide, tmp_path / "copies"))
    session.viewer.layers.remove(session.image_layer)
    session.viewer.open(copied, plugin="napari-muse")
    qtbot.wait(50)
    assert session.nuclei.shown_ids.tolist() == [1, 2, 3]
    session.nuclei.select([2])
    press(opened, qtbot, Qt.Key.Key_2)
    assert session.annotations.counts().tolist() == [2, 1]
    # The other is as it was left in the copy.
    session.viewer.layers.remove(session.image_layer)
    session.viewer.open(small_slide, plugin="napari-muse")
    qtbot.wait(50)
    assert session.annotations.counts().tolist() == [2, 1]
    press(opened, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert session.annotations.counts().tolist() == [3, 0]


def test_two_spellings_of_a_path_are_one_slide(
    opened: MusePanel,
    small_slide: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    session = opened.session
    monkeypatch.chdir(tmp_path)
    link, hard = tmp_path / "link.tif", tmp_path / "sub" / "hard.tif"
    hard.parent.mkdir()
    link.symlink_to(small_slide)
    os.link(small_slide, hard)
    layer, annotations = session.image_layer, session.annotations
    for spelling in (small_slide.name, f"sub/../{small_slide.name}", str(link), str(hard)):
        session.viewer.open(spelling, plugin="napari-muse")
        qtbot.wait(50)
        assert session.image_layer is layer
        assert session.annotations is annotations
        assert "open already" in opened.status.text()
        assert [x.name for x in session.viewer.layers if x.name != "Nuclei"] == [layer.name]
        assert session.viewer.layers.selection.active is layer


def test_a_link_finds_the_annotations_beside_the_slide(
    small_slide: Path, tmp_path: Path, opened: MusePanel
) -> None:
    real, elsewhere = tmp_path / "real", tmp_path / "elsewhere"
    for folder in (real, elsewhere):
        folder.mkdir()
    slide = small_slide.rename(real / "s.tif")
    link = elsewhere / "s.tif"
    link.symlink_to(slide)
    StorePlace(link).create(opened.session.annotations.scheme).close()
    store = StorePlace(slide).open()
    assert store is not None
    assert store.path.parent == real
    store.close()


def test_no_warning_of_units(
    panel: MusePanel, small_slide: Path, muse_data: Path, qtbot: Any
) -> None:
    notification_manager.records.clear()
    viewer = panel.session.viewer
    unscaled = muse_data / "slides" / "pyramid-no-mpp.tiff"
    viewer.open(unscaled, plugin="napari-muse")
    qtbot.wait(100)
    panel.detect.draw.click()
    press(panel, qtbot, Qt.Key.Key_R)
    press(panel, qtbot, Qt.Key.Key_L)
    qtbot.wait(100)
    panel.detect.mpp.selectAll()
    qtbot.keyClicks(panel.detect.mpp, "0.5")
    qtbot.keyClick(panel.detect.mpp, Qt.Key.Key_Return)
    assert panel.session.mpp == 0.5
    qtbot.wait(100)
    viewer.open(small_slide, plugin="napari-muse")
    qtbot.wait(100)
    viewer.open(muse_data / "slides" / "pyramid-no-mpp.tiff", plugin="napari-muse")
    qtbot.wait(100)
    assert not _units_warnings()


def test_no_warning_of_units_where_a_slide_is_closed(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    x, y = np.random.default_rng(0).uniform(0, 300, (2, 5000))
    session.annotations.append(x, y, np.ones(5000), np.full(5000, 0.5), "m", 0.0)
    session.nuclei.refresh()
    for _ in range(2):
        press(opened, qtbot, Qt.Key.Key_L)
    assert {"Density: tumor", "Lasso"} <= {layer.name for layer in session.viewer.layers}
    notification_manager.records.clear()
    session.viewer.layers.remove(session.image_layer)
    qtbot.wait(100)
    assert not _units_warnings()


def test_no_warning_of_units_where_areas_are_left_of_a_closed_slide(
    opened: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    viewer = opened.session.viewer
    opened.detect.draw.click()
    notification_manager.records.clear()
    viewer.layers.remove(opened.session.image_layer)
    viewer.add_shapes(name="in pixels")
    qtbot.wait(100)
    viewer.open(small_slide, plugin="napari-muse")
    qtbot.wait(100)
    assert {str(unit) for unit in viewer.layers["Areas"].units} == {"micrometer"}
    assert not _units_warnings()


def test_a_layer_has_its_own_unit_again_once_the_slide_is_closed(
    opened: MusePanel, qtbot: Any
) -> None:
    viewer = opened.session.viewer
    notification_manager.records.clear()
    own = viewer.add_shapes(name="in pixels")
    assert {str(unit) for unit in own.units} == {"micrometer"}
    viewer.layers.remove(opened.session.image_layer)
    viewer.add_shapes(name="in pixels too")
    qtbot.wait(100)
    assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"pixel"}
    assert not _units_warnings()


def test_outlines_lie_on_the_slide_when_the_panel_was_opened_first(
    panel: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    session, layers = panel.session, panel.session.viewer.layers
    session.viewer.open(small_slide, plugin="napari-muse")
    press(panel, qtbot, Qt.Key.Key_R)
    layers.remove(session.image_layer)
    session.viewer.open(small_slide, plugin="napari-muse")
    at = layers.index(session.image_layer)
    assert layers.index("Regions") > at
    assert layers.index(session.nuclei.layer) == len(layers) - 1


def test_a_slide_that_is_made_visible_stays_when_its_first_region_is_marked(
    opened: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    """The layer of regions is added by then, and what was active before is made active again."""
    session, first = opened.session, opened.session.image_layer
    other = small_slide.with_name("other.tif")
    other.write_bytes(small_slide.read_bytes() + b"other")
    session.viewer.open(other, plugin="napari-muse")
    assert session.viewer.layers.selection.active is session.image_layer
    first.visible = True
    assert session.require_slide().path == small_slide
    press(opened, qtbot, Qt.Key.Key_R)
    assert session.require_slide().path == small_slide
    assert len(session.annotations.regions()) == 1


def _part_of(panel: MusePanel, layer: Any) -> float:
    size = np.diff(layer.extent.world, axis=0)[0] * panel.session.viewer.scene.camera.zoom
    return float(np.max(size / np.asarray(panel.session.viewer.canvas.size)))


def _part_of_canvas(panel: MusePanel) -> float:
    """The larger of the parts of the canvas' height and width that the slide takes."""
    slide, view = panel.session.require_slide(), panel.session.nuclei.field_of_view()
    seen = view.intersect(slide.bounds)
    assert seen is not None
    assert (seen.w, seen.h) == (slide.width, slide.height), "some of it is out of view"
    return max(slide.width / view.w, slide.height / view.h)


def test_a_new_slide_is_seen_as_a_whole_and_so_is_the_smaller_one_with_the_home_button(
    opened: MusePanel, cmu_slide: Path, qtbot: Any
) -> None:
    viewer, first = opened.session.viewer, opened.session.image_layer
    viewer.scene.camera.zoom *= 20
    viewer.open(cmu_slide, plugin="napari-muse")
    assert _part_of_canvas(opened) == pytest.approx(0.95, abs=0.02)
    large, camera = opened.session.image_layer, viewer.scene.camera
    first.visible = True
    camera.zoom, camera.center = 7.0, (0.0, 60.0, 90.0)
    home = viewer.window._qt_viewer.viewerButtons.resetViewButton
    qtbot.mouseClick(home, Qt.MouseButton.LeftButton)
    assert _part_of_canvas(opened) == pytest.approx(0.95, abs=0.02)
    camera.zoom, camera.center = 7.0, (0.0, 60.0, 90.0)
    large.visible = True
    assert camera.zoom == 7.0, "one that was seen before is shown at the same place"
    viewer.reset_view(layers=[first])
    assert _part_of(opened, first) == pytest.approx(0.95, abs=0.02), "as a script asks for"
