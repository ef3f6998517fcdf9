from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import AnnotationStore
from napari_muse.layers.drawn_areas import area_layer
from napari_muse.panels.muse_panel import MusePanel

from .actions import press, use_window

CTRL = Qt.KeyboardModifier.ControlModifier
LEFT_HALF = [(0, 0), (240, 0), (240, 300), (0, 300)]


@pytest.fixture
def regions(opened: MusePanel, qtbot: Any) -> MusePanel:
    """The panel with the tab of the regions in front."""
    opened.tabs.setCurrentIndex(2)
    qtbot.wait(50)
    return opened


def _cell(panel: MusePanel, row: int, column: int) -> str:
    return panel.regions.table.item(row, column).text()


def test_r_marks_the_visible_field_as_reviewed(opened: MusePanel, qtbot: Any) -> None:
    press(opened, qtbot, Qt.Key.Key_R)
    stored = opened.session.annotations.regions()
    assert stored["reviewed"].tolist() == [True]
    assert stored["name"].tolist() == ["field 1"]
    # The view shows exactly the slide.
    assert sorted(map(tuple, stored["vertices"][0])) == [(0, 0), (0, 300), (400, 0), (400, 300)]
    assert len(opened.session.viewer.layers["Regions"].data) == 1
    press(opened, qtbot, Qt.Key.Key_Z, CTRL)
    assert opened.session.annotations.regions().empty
    assert len(opened.session.viewer.layers["Regions"].data) == 0


def test_outlines_cannot_be_changed_on_the_canvas(opened: MusePanel, qtbot: Any) -> None:
    opened.session.annotations.add_region(LEFT_HALF, reviewed=True)
    viewer = opened.session.viewer
    layer = viewer.layers["Regions"]
    viewer.dims.ndisplay = 3
    qtbot.waitUntil(lambda: viewer.dims.ndisplay == 2, timeout=5000)
    viewer.layers.selection.active = layer
    layer.mode = "direct"
    assert not layer.editable
    assert layer.mode == "pan_zoom"
    opened.session.annotations.add_region([(0, 0), (9, 0), (9, 9)], reviewed=False)
    assert len(layer.data) == 2
    assert not layer.editable


def test_counts_and_density(regions: MusePanel, qtbot: Any) -> None:
    regions.session.annotations.add_region(LEFT_HALF, reviewed=False, name="left")
    # 240 x 300 px at 0.5 um/px is 0.018 mm2, with two of the three nuclei.
    assert [_cell(regions, 0, c) for c in (0, 2, 3, 4, 5)] == ["left", "2", "111", "2", "0"]
    regions.session.annotations.set_class([1], 2)
    qtbot.waitUntil(lambda: [_cell(regions, 0, c) for c in (4, 5)] == ["1", "1"], timeout=5000)


def test_what_is_drawn_is_kept_and_wiped_off(regions: MusePanel, qtbot: Any) -> None:
    layer = area_layer(regions.session.viewer, regions.session.slide)
    layer.add_rectangles(np.array([[[9.5, 19.5], [9.5, 119.5], [59.5, 119.5], [59.5, 19.5]]]))
    qtbot.mouseClick(regions.regions.keep, Qt.MouseButton.LeftButton)
    corners = regions.session.annotations.regions()["vertices"][0]
    assert sorted(map(tuple, corners)) == [(20, 10), (20, 60), (120, 10), (120, 60)]
    assert len(layer.data) == 0
    shown = regions.session.viewer.layers["Regions"].data[0]
    assert sorted(map(tuple, shown.tolist())) == [
        (9.5, 19.5), (9.5, 119.5), (59.5, 19.5), (59.5, 119.5)
    ]  # fmt: skip
    qtbot.mouseClick(regions.regions.keep, Qt.MouseButton.LeftButton)
    assert "Nothing is drawn" in regions.status.text()


def test_ticking_naming_removing(regions: MusePanel, qtbot: Any) -> None:
    annotations = regions.session.annotations
    annotations.add_region(LEFT_HALF, reviewed=False, name="left")
    regions.regions.table.item(0, 1).setCheckState(Qt.CheckState.Checked)
    regions.regions.table.item(0, 0).setText("tumour margin")
    assert annotations.regions()[["name", "reviewed"]].values.tolist() == [["tumour margin", True]]
    qtbot.mouseClick(regions.regions.remove, Qt.MouseButton.LeftButton)
    assert "Choose a region" in regions.status.text()
    regions.regions.table.selectRow(0)
    qtbot.mouseClick(regions.regions.remove, Qt.MouseButton.LeftButton)
    assert annotations.regions().empty
    assert len(annotations.to_table()) == 3, "its nuclei stay"


def test_removing_twice_removes_one(regions: MusePanel, qtbot: Any) -> None:
    annotations = regions.session.annotations
    for name in ("left", "again"):
        annotations.add_region(LEFT_HALF, reviewed=False, name=name)
    regions.regions.table.selectRow(0)
    for _ in range(2):
        qtbot.mouseClick(regions.regions.remove, Qt.MouseButton.LeftButton)
    assert annotations.regions()["name"].tolist() == ["again"]


def test_a_double_click_goes_there(regions: MusePanel) -> None:
    regions.session.annotations.add_region([(100, 100), (200, 100), (200, 150)], False, "small")
    regions.regions.table.itemDoubleClicked.emit(regions.regions.table.item(0, 0))
    view = regions.session.nuclei.field_of_view()
    assert view.w == pytest.approx(120, rel=0.02)
    assert (view.x + view.w / 2, view.y + view.h / 2) == pytest.approx((150, 125), abs=1)


def test_regions_are_not_areas_to_detect_in(regions: MusePanel) -> None:
    regions.session.annotations.add_region(LEFT_HALF, reviewed=False)
    regions.detect.place.setCurrentIndex(regions.detect.place.findData("shapes"))
    regions.detect.run()
    assert "Nothing is drawn" in regions.detect.message.text()


def test_the_chart_shows_the_chosen_region(regions: MusePanel) -> None:
    regions.session.annotations.add_region(LEFT_HALF, reviewed=False, name="left")
    assert regions.regions.chart.getPlotItem().titleLabel.text == "Whole slide"
    regions.regions.table.selectRow(0)
    plot = regions.regions.chart.getPlotItem()
    assert plot.titleLabel.text == "left"
    assert list(plot.items[0].opts["height"]) == [2, 0]


def test_the_chart_waits_for_the_counts_of_classes_that_have_just_been_added(
    regions: MusePanel, qtbot: Any
) -> None:
    annotations, panel = regions.session.annotations, regions.regions
    for name in ("left", "again"):
        annotations.add_region(LEFT_HALF, reviewed=False, name=name)
    qtbot.waitUntil(lambda: panel.table.rowCount() == 2, timeout=5000)
    panel.table.selectRow(0)
    annotations.adopt_scheme(ClassScheme.from_names(["lymphocyte", "tumor", "stromal"]))
    panel.table.selectRow(1)
    plot = panel.chart.getPlotItem()
    qtbot.waitUntil(lambda: plot.titleLabel.text == "again", timeout=5000)
    assert list(plot.items[0].opts["height"]) == [2, 0, 0]


def test_the_chart_says_a_name_as_it_is(regions: MusePanel) -> None:
    regions.session.annotations.add_region(LEFT_HALF, reviewed=False, name="Ki67 <b>5 & T")
    regions.regions.table.selectRow(0)
    label = regions.regions.chart.getPlotItem().titleLabel
    assert label.item.toPlainText() == "Ki67 <b>5 & T"


def test_what_cannot_be_kept_stays_drawn(
    regions: MusePanel, annotations_folder: Path, qtbot: Any
) -> None:
    session = regions.session
    area_layer(session.viewer, session.slide).add_rectangles(
        [np.array([[10, 10], [10, 90], [90, 90], [90, 10]])]
    )
    session.annotations.rest()
    with AnnotationStore.open(next(annotations_folder.glob("*.muse"))):
        qtbot.mouseClick(regions.regions.keep, Qt.MouseButton.LeftButton)
        assert "another window" in regions.status.text()
    assert len(session.drawn_polygons()) == 1
    assert session.annotations.regions().empty


def test_the_keyboard_ticks_a_region_and_takes_the_tick_away(
    regions: MusePanel, qtbot: Any
) -> None:
    use_window(regions, qtbot)
    annotations, table = regions.session.annotations, regions.regions.table
    for name in ("left", "same"):
        annotations.add_region(LEFT_HALF, reviewed=False, name=name)
    table.setFocus()
    table.setCurrentCell(0, 0)
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Space):
        qtbot.keyClick(table, key)
    assert annotations.regions()["reviewed"].tolist() == [False, True]
    annotations.add(100, 100, 1)
    regions.regions.refresh()
    qtbot.keyClick(table, Qt.Key.Key_Space)
    assert annotations.regions()["reviewed"].tolist() == [False, False]
    assert table.chosen == annotations.regions()["id"].tolist()[1]
