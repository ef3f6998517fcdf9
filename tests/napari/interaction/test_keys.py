"""MUSE's keys apply while a slide is open, whatever layer is active."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QLineEdit, QWidget

from napari_muse.panels.muse_panel import MusePanel

from ..actions import QTest, canvas_of, click, press, screen_point, use_window

CTRL = Qt.KeyboardModifier.ControlModifier
ALT = Qt.KeyboardModifier.AltModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
LEFT = Qt.MouseButton.LeftButton


def _classes(panel: MusePanel) -> list[str]:
    result: list[str] = panel.session.annotations.to_table()["class_name"].tolist()
    return result


def _drag(panel: MusePanel, qtbot: Any, start: QPoint, end: QPoint) -> None:
    canvas = canvas_of(panel)
    qtbot.mouseMove(canvas, start)
    qtbot.mousePress(canvas, LEFT, pos=start)
    for step in range(1, 6):
        qtbot.mouseMove(canvas, start + (end - start) * step / 5)
        qtbot.wait(20)
    qtbot.mouseRelease(canvas, LEFT, pos=end)
    qtbot.wait(100)


@pytest.mark.parametrize("active", ["slide", "nuclei"])
def test_a_digit_with_nothing_selected_changes_nothing_and_says_why(
    opened: MusePanel, qtbot: Any, active: str
) -> None:
    session = opened.session
    layer = session.image_layer if active == "slide" else session.nuclei.layer
    session.viewer.layers.selection.active = layer
    for key in (*"123456789", " ", Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
        opened.status.say("")
        qtbot.keyClick(canvas_of(opened), key)
        wanted = "Select a nucleus first" if key not in tuple("3456789") else "No class has the key"
        assert wanted in opened.status.text()
    assert {str(x.mode) for x in (session.image_layer, session.nuclei.layer)} == {"pan_zoom"}
    click(opened, qtbot, 250, 60)
    start = screen_point(opened, 200, 150)
    _drag(opened, qtbot, start, start + QPoint(80, 40))
    assert len(session.annotations.to_table()) == 3
    np.testing.assert_array_equal(session.image_layer.affine.affine_matrix, np.eye(3))
    np.testing.assert_array_equal(session.image_layer.translate, (0, 0))


def test_every_layer_and_none_has_the_keys(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    viewer, layers = session.viewer, session.viewer.layers
    press(opened, qtbot, Qt.Key.Key_L)
    press(opened, qtbot, Qt.Key.Key_L)
    press(opened, qtbot, Qt.Key.Key_R)
    opened.detect.draw.click()
    viewer.add_labels(np.zeros((30, 40), dtype=np.uint8), name="Labels")
    viewer.add_points(np.zeros((1, 2)), name="Others")
    session.nuclei.select([2])
    for wanted, layer in enumerate([*layers, None]):
        layers.selection.active = layer
        if layer is None:
            layers.selection.clear()
        press(opened, qtbot, Qt.Key.Key_1 if wanted % 2 else Qt.Key.Key_2)
        assert _classes(opened)[1] == ("lymphocyte" if wanted % 2 else "tumor"), layer
        assert session.nuclei.selected_ids.tolist() == [2]
    assert wanted >= 7


def test_drawing_keeps_the_keys_it_needs(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    opened.detect.draw.click()
    areas = session.viewer.layers.selection.active
    areas.add_rectangles([np.array([[10, 10], [10, 90], [90, 90], [90, 10]])])
    areas.mode = "select"
    areas.selected_data = {0}
    session.nuclei.select([2])
    press(opened, qtbot, Qt.Key.Key_Delete)
    assert len(areas.data) == 0, "the chosen shape went"
    assert len(_classes(opened)) == 3, "and no nucleus"
    press(opened, qtbot, Qt.Key.Key_Escape)
    assert session.viewer.layers.selection.active is session.nuclei.layer
    assert session.nuclei.selected_ids.tolist() == []


def test_ctrl_z_takes_back_what_is_painted_and_no_nucleus(opened: MusePanel, qtbot: Any) -> None:
    click(opened, qtbot, 200, 150)
    press(opened, qtbot, Qt.Key.Key_2)
    viewer = opened.session.viewer
    labels = viewer.add_labels(np.zeros((300, 400), dtype=np.uint8), scale=(0.5, 0.5))
    labels.mode = "paint"
    labels.paint((150, 200), 3)
    press(opened, qtbot, Qt.Key.Key_Z, CTRL)
    assert not labels.data.any()
    assert _classes(opened)[1] == "tumor"
    for key, modifier in ((Qt.Key.Key_Z, CTRL | SHIFT), (Qt.Key.Key_Y, CTRL)):
        press(opened, qtbot, key, modifier)
        assert labels.data.any()
        labels.undo()
    labels.mode = "pan_zoom"
    press(opened, qtbot, Qt.Key.Key_Z, CTRL)
    assert _classes(opened)[1] == "lymphocyte", "no tool is in hand"


def test_shift_click_adds_a_nucleus_and_takes_it_out(opened: MusePanel, qtbot: Any) -> None:
    selected = []
    for x, y in ((100, 100), (200, 150), (300, 200), (200, 150)):
        click(opened, qtbot, x, y, SHIFT)
        selected.append(opened.session.nuclei.selected_ids.tolist())
    assert selected == [[1], [1, 2], [1, 2, 3], [1, 3]]
    for _ in range(2):
        click(opened, qtbot, 100, 100)
        assert opened.session.nuclei.selected_ids.tolist() == [1]


def test_add_mode_ends_with_its_layer(opened: MusePanel, qtbot: Any) -> None:
    press(opened, qtbot, Qt.Key.Key_V)
    press(opened, qtbot, Qt.Key.Key_A)
    assert opened.session.nuclei.layer.visible, "one sees what one adds"
    opened.session.viewer.layers.selection.active = opened.session.image_layer
    assert not opened.edit.add.isChecked()
    click(opened, qtbot, 200, 150)
    assert opened.session.nuclei.selected_ids.tolist() == [2]


def test_ctrl_y_is_redo(opened: MusePanel, qtbot: Any) -> None:
    click(opened, qtbot, 200, 150)
    press(opened, qtbot, Qt.Key.Key_2)
    press(opened, qtbot, Qt.Key.Key_Z, CTRL)
    assert _classes(opened)[1] == "lymphocyte"
    press(opened, qtbot, Qt.Key.Key_Y, CTRL)
    assert _classes(opened)[1] == "tumor"
    assert opened.session.viewer.dims.ndisplay == 2


def test_keys_that_would_part_nuclei_and_slide_do_nothing(opened: MusePanel, qtbot: Any) -> None:
    viewer = opened.session.viewer
    before = [np.array(layer.affine) for layer in viewer.layers]
    for key, modifier in (
        (Qt.Key.Key_T, CTRL), (Qt.Key.Key_T, CTRL | ALT), (Qt.Key.Key_E, CTRL),
        (Qt.Key.Key_G, CTRL),
    ):  # fmt: skip
        opened.status.say("")
        press(opened, qtbot, key, modifier)
        assert "part the nuclei" in opened.status.text()
    assert viewer.dims.order == (0, 1)
    assert not viewer.canvas.grid.enabled
    for layer, matrix in zip(viewer.layers, before, strict=True):
        np.testing.assert_array_equal(layer.affine, matrix)


def test_a_slide_is_not_removed_by_a_key(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    for layer in (session.image_layer, session.nuclei.layer):
        session.viewer.layers.selection.active = layer
        for key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            press(opened, qtbot, key, CTRL)
            assert layer in session.viewer.layers
            assert "stays" in opened.status.text()
    mine = session.viewer.add_points(np.zeros((1, 2)), name="mine")
    press(opened, qtbot, Qt.Key.Key_Delete, CTRL)
    assert mine not in session.viewer.layers


def test_without_a_slide_the_keys_are_naparis(panel: MusePanel, qtbot: Any) -> None:
    layer = panel.session.viewer.add_points(np.zeros((1, 2)))
    press(panel, qtbot, Qt.Key.Key_2)
    assert str(layer.mode) == "add"
    panel.session.viewer.layers.selection.active = panel.session.nuclei.layer
    press(panel, qtbot, Qt.Key.Key_5)
    assert str(panel.session.nuclei.layer.mode) == "transform"


def test_letters_in_the_list_of_layers_are_keys_too(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    rows = session.viewer.window._qt_viewer.layers
    use_window(opened, qtbot)
    session.nuclei.select([2])
    session.viewer.layers.selection.active = session.image_layer
    rows.setFocus()
    QTest.keyClick(rows, Qt.Key.Key_2)
    assert _classes(opened)[1] == "tumor"
    # The slide's name, small.tif, begins with an S; the nuclei's with an N.
    QTest.keyClick(rows, Qt.Key.Key_V)
    assert not session.nuclei.layer.visible
    assert session.viewer.layers.selection.active is session.image_layer


def test_after_a_click_the_keys_go_to_the_slide(opened: MusePanel, qtbot: Any) -> None:
    use_window(opened, qtbot)
    canvas = canvas_of(opened)
    opened.tabs.setCurrentIndex(1)
    session = opened.session
    session.nuclei.select([2])
    for button in (opened.review.go_on, opened.legend.shown[1], opened.legend.for_new[1]):
        qtbot.mouseClick(button, LEFT)
        qtbot.waitUntil(canvas.hasFocus)
        pressed = button.isChecked()
        QTest.keyClick(opened.window().focusWidget(), Qt.Key.Key_Space)
        assert button.isChecked() == pressed
    assert session.annotations.to_table().set_index("id").loc[2, "status"] == "confirmed"
    bar = opened.tabs.tabBar()
    qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(0).center())
    qtbot.waitUntil(canvas.hasFocus)
    place = opened.detect.place
    qtbot.mouseClick(place, LEFT)
    entries = place.view()
    qtbot.waitUntil(entries.isVisible)
    drawn = entries.visualRect(place.model().index(1, 0)).center()
    # Away from the place of the press, whose release Qt does not take for a choice.
    qtbot.mouseMove(entries.viewport(), drawn)
    qtbot.mouseClick(entries.viewport(), LEFT, pos=drawn)
    qtbot.waitUntil(canvas.hasFocus)
    assert place.currentData() == "shapes"


def test_a_choice_by_keyboard_leaves_the_focus_there(opened: MusePanel, qtbot: Any) -> None:
    use_window(opened, qtbot)
    opened.tabs.setCurrentIndex(0)
    place = opened.detect.place
    place.setFocus()
    for _ in range(2):
        QTest.keyClick(opened.window().focusWidget(), Qt.Key.Key_Down)
        qtbot.wait(20)
        assert place.hasFocus()
    assert place.currentData() == "slide"
    qtbot.keyClick(place, Qt.Key.Key_Space)
    qtbot.waitUntil(place.view().isVisible)
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Return):
        QTest.keyClick(QApplication.focusWidget(), key)
    qtbot.waitUntil(lambda: not place.view().isVisible())
    assert place.currentData() == "shapes"
    assert place.hasFocus()


def test_a_click_that_leads_to_a_field_leaves_the_focus_there(
    panel: MusePanel, muse_data: Any, qtbot: Any
) -> None:
    use_window(panel, qtbot)
    path = muse_data / "slides" / "pyramid-no-mpp.tiff"
    panel.session.viewer.open(path, plugin="napari-muse")
    qtbot.mouseClick(panel.detect.start, LEFT)
    qtbot.wait(50)
    assert panel.detect.mpp.hasFocus()
    QTest.keyClicks(panel.detect.mpp, "0,5")
    QTest.keyClick(panel.detect.mpp, Qt.Key.Key_Return)
    assert panel.session.mpp == 0.5


def test_typing_in_a_field_changes_no_nuclei(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    use_window(opened, qtbot)
    before = session.annotations.to_table()
    typed_in = set()
    for tab in range(opened.tabs.count()):
        opened.tabs.setCurrentIndex(tab)
        for field in opened.window().findChildren(QWidget):
            if not isinstance(field, QLineEdit | QAbstractSpinBox) or field in typed_in:
                continue
            field.setFocus()
            if not field.hasFocus() or not field.isVisible():
                continue
            typed_in.add(field)
            for key in (Qt.Key.Key_2, Qt.Key.Key_R, Qt.Key.Key_V, Qt.Key.Key_Delete):
                session.nuclei.select([2])
                QTest.keyClick(field, key)
    assert len(typed_in) > 5
    assert session.annotations.to_table().equals(before)
    assert session.annotations.regions().empty
    assert session.nuclei.layer.visible
