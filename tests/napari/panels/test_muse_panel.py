from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QApplication, QLabel, QScrollArea

from muse_core.models.registry import DEFAULT_MODEL
from muse_core.nuclei import ClassScheme, read_csv, write_csv
from napari_muse.interaction.keys import HELP
from napari_muse.layers.rows_in_view import MAX_IN_VIEW
from napari_muse.panels.muse_panel import MusePanel

from ..actions import canvas_of, click, press, screen_point, use_window

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def _row(panel: MusePanel, number: int) -> dict[str, Any]:
    table = panel.session.annotations.to_table().set_index("id")
    result: dict[str, Any] = table.loc[number].to_dict()
    return result


def test_click_selects_and_a_digit_gives_the_class(opened: MusePanel, qtbot: Any) -> None:
    viewer = opened.session.viewer
    # The slide's own layer is active, as it is after opening.
    viewer.layers.selection.active = opened.session.image_layer
    click(opened, qtbot, 200, 150)
    assert opened.session.nuclei.selected_ids.tolist() == [2]
    assert viewer.layers.selection.active is opened.session.nuclei.layer, "so that it is marked"
    press(opened, qtbot, Qt.Key.Key_2)
    assert _row(opened, 2)["class_name"] == "tumor"
    assert _row(opened, 2)["status"] == "corrected"
    assert [label.text() for label in opened.legend.counts] == ["2", "1"]
    assert opened.session.nuclei.selected_ids.tolist() == [2], "the selection survives"


def test_the_same_keys_work_when_the_nuclei_are_active(opened: MusePanel, qtbot: Any) -> None:
    opened.session.viewer.layers.selection.active = opened.session.nuclei.layer
    click(opened, qtbot, 100, 100)
    click(opened, qtbot, 300, 200, SHIFT)
    assert opened.session.nuclei.selected_ids.tolist() == [1, 3]
    press(opened, qtbot, Qt.Key.Key_1)
    assert _row(opened, 1)["status"] == "confirmed"
    press(opened, qtbot, Qt.Key.Key_Delete)
    assert opened.session.annotations.to_table()["id"].tolist() == [2]
    press(opened, qtbot, Qt.Key.Key_Z, CTRL)
    assert opened.session.annotations.to_table()["id"].tolist() == [1, 2, 3]
    press(opened, qtbot, Qt.Key.Key_Z, CTRL | SHIFT)
    assert opened.session.annotations.to_table()["id"].tolist() == [2]


def test_space_confirms(opened: MusePanel, qtbot: Any) -> None:
    click(opened, qtbot, 300, 200)
    press(opened, qtbot, Qt.Key.Key_Space)
    assert _row(opened, 3)["status"] == "confirmed"


def test_add_mode_adds_where_the_user_clicked(opened: MusePanel, qtbot: Any) -> None:
    press(opened, qtbot, Qt.Key.Key_A)
    assert opened.edit.add.isChecked()
    press(opened, qtbot, Qt.Key.Key_2)
    click(opened, qtbot, 250, 60)
    table = opened.session.annotations.to_table()
    assert len(table) == 4
    added = table.iloc[-1]
    assert added["status"] == "added"
    assert added["class_name"] == "tumor"
    # One screen pixel is this many slide pixels.
    zoom = opened.session.viewer.scene.camera.zoom * 0.5
    assert abs(added["x"] - 250) <= 1 / zoom
    assert abs(added["y"] - 60) <= 1 / zoom
    press(opened, qtbot, Qt.Key.Key_Escape)
    assert not opened.edit.add.isChecked()
    click(opened, qtbot, 350, 60)
    assert len(opened.session.annotations.to_table()) == 4


def test_naparis_own_delete_reaches_the_annotations(opened: MusePanel, qtbot: Any) -> None:
    layer = opened.session.nuclei.layer
    layer.selected_data = {1}
    layer.remove_selected()
    qtbot.wait(150)
    assert opened.session.annotations.to_table()["id"].tolist() == [1, 3]
    assert len(layer.data) == 2


def test_v_hides_and_shows(opened: MusePanel, qtbot: Any) -> None:
    press(opened, qtbot, Qt.Key.Key_V)
    assert not opened.session.nuclei.layer.visible
    press(opened, qtbot, Qt.Key.Key_V)
    assert opened.session.nuclei.layer.visible


def test_a_class_can_be_hidden(opened: MusePanel, qtbot: Any) -> None:
    opened.session.annotations.set_class([1], 2)
    opened.legend.shown[0].click()
    assert opened.session.nuclei.shown_ids.tolist() == [1]
    opened.legend.shown[0].click()
    assert opened.session.nuclei.shown_ids.tolist() == [1, 2, 3]


def test_file_save_writes_all_nuclei(opened: MusePanel, tmp_path: Path) -> None:
    opened.legend.shown[0].click()
    layer = opened.session.nuclei.layer
    saved = layer.save(str(tmp_path / "saved.csv"), plugin="napari-muse")
    assert saved == [str(tmp_path / "saved.csv")]
    assert len(read_csv(saved[0])) == 3, "hidden nuclei are saved too"


def test_a_csv_dropped_on_the_window_joins_the_nuclei(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    notification_manager.records.clear()
    table = opened.session.annotations.to_table()
    table["x"] += 10
    write_csv(table, tmp_path / "more.csv", 0.5)
    viewer = opened.session.viewer
    viewer.open(tmp_path / "more.csv", plugin="napari-muse")
    viewer.open(tmp_path / "more.csv", plugin="napari-muse")
    assert len(opened.session.annotations.to_table()) == 6, "twice the same file is once"
    qtbot.waitUntil(lambda: len(viewer.layers) == 2)
    assert not [n for n in notification_manager.records if n.severity >= "warning"]


def test_an_unknown_mpp_is_asked_for(panel: MusePanel, unscaled_slide: Path, qtbot: Any) -> None:
    panel.session.viewer.open(unscaled_slide, plugin="napari-muse")
    assert panel.detect.scale.hint.isVisible()
    panel.detect.start.click()
    assert panel.detect.message.text() == "Enter the microns per pixel first."
    assert not panel.detection.running
    panel.detect.draw.click()
    areas = panel.session.viewer.layers.selection.active
    areas.add_rectangles([np.array([[99.5, 49.5], [99.5, 149.5], [199.5, 149.5], [199.5, 49.5]])])
    panel.detect.mpp.selectAll()
    qtbot.keyClicks(panel.detect.mpp, "0.5")
    qtbot.keyClick(panel.detect.mpp, Qt.Key.Key_Return)
    assert panel.session.mpp == 0.5
    assert not panel.detect.scale.hint.isVisible()
    assert tuple(panel.session.image_layer.scale) == (0.5, 0.5)
    assert tuple(panel.session.nuclei.layer.scale) == (0.5, 0.5)
    bounds = panel.session.drawn_polygons()[0].bounds
    assert (bounds.x, bounds.y) == pytest.approx((50, 100)), "drawn over the same tissue as before"


def test_two_slides_keep_their_own_nuclei(opened: MusePanel, cmu_slide: Path, qtbot: Any) -> None:
    first = opened.session.image_layer
    opened.session.viewer.open(cmu_slide, plugin="napari-muse")
    assert opened.session.slide is not None
    assert opened.session.slide.name == cmu_slide.name
    assert len(opened.session.annotations.to_table()) == 0
    opened.session.viewer.layers.selection.active = first
    qtbot.wait(150)
    assert len(opened.session.annotations.to_table()) == 3
    assert len(opened.session.nuclei.layer.data) == 3


def test_drawn_shapes_come_in_slide_pixels(opened: MusePanel) -> None:
    opened.detect.draw.click()
    shapes = opened.session.viewer.layers.selection.active
    # Scaled like the slide, so that data are its pixels, counted from their centres.
    corners = np.array([[99.5, 49.5], [99.5, 149.5], [199.5, 149.5], [199.5, 49.5]])
    shapes.add_rectangles([corners])
    # A user's own layer is in world microns.
    opened.session.viewer.add_shapes([corners * 0.5], shape_type="ellipse")
    rectangle, ellipse = opened.session.drawn_polygons()
    for polygon in (rectangle, ellipse):
        bounds = polygon.bounds
        assert (bounds.x, bounds.y, bounds.w, bounds.h) == pytest.approx((50, 100, 100, 100))
    assert ellipse.area_px == pytest.approx(np.pi / 4 * rectangle.area_px, rel=0.01)


def test_areas_stay_with_the_slide_they_were_drawn_on(opened: MusePanel, cmu_slide: Path) -> None:
    session, viewer = opened.session, opened.session.viewer
    first = session.image_layer
    corners = np.array([[99.5, 49.5], [99.5, 149.5], [199.5, 149.5], [199.5, 49.5]])
    opened.detect.draw.click()
    area = viewer.layers.selection.active
    area.add_rectangles([corners])
    viewer.add_shapes([corners * 0.5], name="the user's own")
    viewer.open(cmu_slide, plugin="napari-muse")
    opened.detect.start.click()
    assert opened.detect.message.text().startswith("Nothing is drawn yet")
    opened.detect.draw.click()
    other = viewer.layers.selection.active
    assert other is not area
    assert tuple(other.scale) == pytest.approx((session.mpp, session.mpp))
    other.add_rectangles([corners + 100])
    assert [p.bounds.x for p in session.drawn_polygons()] == pytest.approx([150])
    session.set_mpp(1.0)
    assert tuple(area.scale) == (0.5, 0.5)
    assert tuple(other.scale) == (1.0, 1.0)
    viewer.layers.selection.active = first
    assert [p.bounds.x for p in session.drawn_polygons()] == pytest.approx([50, 50])


def test_the_selected_nuclei_stand_out(opened: MusePanel, qtbot: Any) -> None:
    layer = opened.session.nuclei.layer
    assert np.ptp(layer.size) == 0
    click(opened, qtbot, 200, 150)
    assert np.flatnonzero(layer.size > layer.size.min()).tolist() == [1]
    opened.session.nuclei.refresh()
    assert np.flatnonzero(layer.size > layer.size.min()).tolist() == [1]
    press(opened, qtbot, Qt.Key.Key_Escape)
    assert np.ptp(layer.size) == 0


def test_a_dragged_nucleus_is_moved_and_corrected(opened: MusePanel, qtbot: Any) -> None:
    layer, canvas = opened.session.nuclei.layer, canvas_of(opened)
    opened.session.viewer.layers.selection.active = layer
    layer.mode = "select"
    start, end = screen_point(opened, 200, 150), screen_point(opened, 240, 190)
    qtbot.mouseMove(canvas, start)
    qtbot.wait(100)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    for step in range(1, 6):
        qtbot.mouseMove(canvas, start + (end - start) * step / 5)
        qtbot.wait(60)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=end)
    qtbot.wait(150)
    row = _row(opened, 2)
    assert row["status"] == "corrected"
    assert (row["x"], row["y"]) == pytest.approx((240, 190), abs=2)


def test_drawing_over_nuclei_selects_none(opened: MusePanel, qtbot: Any) -> None:
    opened.detect.draw.click()
    areas = opened.session.viewer.layers.selection.active
    click(opened, qtbot, 200, 150)
    assert opened.session.nuclei.selected_ids.tolist() == []
    assert opened.session.viewer.layers.selection.active is areas
    opened.session.activate_nuclei()
    click(opened, qtbot, 200, 150)
    assert opened.session.nuclei.selected_ids.tolist() == [2]


def test_nothing_open_and_nothing_drawn_get_sentences(panel: MusePanel, small_slide: Path) -> None:
    panel.detect.start.click()
    assert panel.detect.message.text().startswith("Open a slide first")
    panel.session.viewer.open(small_slide, plugin="napari-muse")
    panel.detect.place.setCurrentIndex(panel.detect.place.findData("shapes"))
    panel.detect.start.click()
    assert panel.detect.message.text().startswith("Nothing is drawn yet")


@pytest.mark.usefixtures("make_napari_viewer")
def test_very_many_nuclei_are_an_image_until_one_zooms_in(opened: MusePanel, qtbot: Any) -> None:
    rng = np.random.default_rng(0)
    n = 3 * MAX_IN_VIEW
    x, y = rng.uniform(0, 400, n), rng.uniform(0, 300, n)
    opened.session.annotations.append(x, y, np.ones(n, int), np.ones(n), "m", 6.0)
    nuclei, layers = opened.session.nuclei, opened.session.viewer.layers
    nuclei.refresh()
    assert len(nuclei.layer.data) == 0
    density = layers[f"Density: {opened.session.annotations.scheme.names[0]}"]
    assert density.visible
    assert layers.index(density) < layers.index(nuclei.layer)
    np.testing.assert_allclose(
        density.extent.world, opened.session.image_layer.extent.world, atol=16
    )
    assert "zoom in" in opened.legend.total.text()
    opened.session.viewer.scene.camera.zoom *= 6
    qtbot.waitUntil(lambda: nuclei.in_view < MAX_IN_VIEW, timeout=5000)
    assert len(nuclei.layer.data) >= nuclei.in_view > 0
    assert not density.visible
    opened.session.viewer.reset_view()
    qtbot.waitUntil(lambda: density.visible, timeout=5000)
    press(opened, qtbot, Qt.Key.Key_V)
    assert not density.visible


@pytest.mark.usefixtures("make_napari_viewer")
def test_panning_a_little_loads_nothing_and_far_does(opened: MusePanel, qtbot: Any) -> None:
    rng = np.random.default_rng(0)
    n = 2 * MAX_IN_VIEW
    x, y = rng.uniform(0, 4000, n), rng.uniform(0, 3000, n)
    opened.session.annotations.append(x, y, np.ones(n, int), np.ones(n), "m", 0.0)
    nuclei, viewer = opened.session.nuclei, opened.session.viewer
    viewer.scene.camera.zoom *= 2
    qtbot.wait(300)
    before = nuclei.shown_ids
    chosen = [int(before[0])]
    nuclei.select(chosen)
    cy, cx = viewer.scene.camera.center[-2:]
    viewer.scene.camera.center = (0, cy, cx + 5)
    qtbot.wait(300)
    assert nuclei.shown_ids is before
    viewer.scene.camera.center = (0, cy, cx + 500)
    qtbot.waitUntil(lambda: nuclei.shown_ids is not before, timeout=5000)
    viewer.scene.camera.center = (0, cy, cx)
    qtbot.waitUntil(lambda: np.isin(chosen, nuclei.shown_ids).all(), timeout=5000)
    assert nuclei.selected_ids.tolist() == chosen


def test_a_change_uploads_the_points_once(
    opened: MusePanel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nuclei, viewer = opened.session.nuclei, opened.session.viewer
    canvas = viewer.window._qt_viewer.canvas
    markers = canvas.layer_to_visual[nuclei.layer].node.points_markers
    uploads, upload = [], type(markers).set_data

    def counted(self: Any, *args: Any, **options: Any) -> None:
        uploads.append(self is markers)
        upload(self, *args, **options)

    monkeypatch.setattr(type(markers), "set_data", counted)
    nuclei.refresh()
    uploads.clear()
    opened.session.annotations.set_class([1], 2)
    nuclei.refresh()
    assert sum(uploads) == 1, "other colours"
    assert [str(s) for s in nuclei.layer.symbol] == ["square", "disc", "disc"]
    colors = [c.color for c in opened.session.annotations.scheme.classes]
    wanted = [int(colors[1][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    np.testing.assert_allclose(nuclei.layer.border_color[0, :3], wanted, atol=1e-6)
    assert nuclei.layer.features["class"].tolist()[0] == opened.session.annotations.scheme.names[1]
    uploads.clear()
    opened.session.annotations.delete([2])
    nuclei.refresh()
    assert sum(uploads) == 1, "other points"


def test_tab_goes_from_top_to_bottom(opened: MusePanel, qtbot: Any) -> None:
    # Classes that are listed anew are not moved to the end.
    opened.session.annotations.adopt_scheme(ClassScheme.from_names(["stroma"]))
    legend, detect = opened.legend, opened.detect
    use_window(opened, qtbot)
    for first, *rest in (
        (legend.shown[0], legend.for_new[0], *legend.shown[1:], legend.edit, opened.tabs.tabBar()),
        (
            detect.model, detect.device, detect.precision, detect.place, detect.draw,
            detect.min_score, detect.mpp, detect.start, opened.export.button,
        ),
    ):  # fmt: skip
        first.setFocus()
        for wanted in rest:
            qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
            assert QApplication.focusWidget() is wanted


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_is_wider_than_the_dock(opened: MusePanel, qtbot: Any, theme: str) -> None:
    opened.session.viewer.theme = theme
    # A class with a long name too.
    opened.session.annotations.adopt_scheme(ClassScheme.from_names(["inflammatory and other " * 3]))
    opened.session.annotations_changed.emit()
    qtbot.wait(50)
    for scroll in opened.findChildren(QScrollArea):
        bar = scroll.verticalScrollBar().sizeHint().width()
        assert scroll.widget().minimumSizeHint().width() + bar <= 350 - 2 * 5
    assert opened.minimumSizeHint().width() <= 350
    sections = (
        opened.detect, opened.legend, opened.edit, opened.export, opened.review, opened.regions
    )  # fmt: skip
    for section in sections:
        for child in section.children():
            tip = getattr(child, "toolTip", None)
            if tip is not None and isinstance(child, QAbstractButton):
                assert tip(), f"{child.text()} has no tooltip"


@pytest.mark.usefixtures("styled")
def test_what_the_keys_mean_is_shown_whole(opened: MusePanel, qtbot: Any) -> None:
    opened.tabs.setCurrentIndex(1)
    qtbot.wait(50)
    labels = {label.text(): label for label in opened.edit.findChildren(QLabel)}
    for key, meaning in HELP:
        label = labels[meaning]
        assert label.height() >= label.heightForWidth(label.width()), key
        assert f"<b>{key}</b>" in labels


def test_released_backbones_are_named_but_cannot_be_chosen(panel: MusePanel) -> None:
    models = panel.detect.model
    names = [models.itemText(i) for i in range(models.count())]
    assert names[0] == DEFAULT_MODEL
    assert models.currentText() == names[0]
    rows = [i for i, name in enumerate(names) if name.endswith("(available)")]
    assert len(rows) == 6
    assert not any(models.model().item(i).isEnabled() for i in rows)
    assert "muse models fetch" in models.itemData(rows[0], Qt.ItemDataRole.ToolTipRole)


def test_no_class_stays_hidden_on_another_slide(
    opened: MusePanel, cmu_slide: Path, qtbot: Any
) -> None:
    opened.legend.shown[0].click()
    opened.session.viewer.open(cmu_slide, plugin="napari-muse")
    annotations = opened.session.annotations
    annotations.adopt_scheme(ClassScheme.from_names(["epithelial", "plasma"]))
    annotations.append([1000], [900], [1], [0.9], "m", 6.0)
    assert all(box.isChecked() for box in opened.legend.shown)
    qtbot.waitUntil(lambda: opened.session.nuclei.shown_ids.tolist() == [1])
