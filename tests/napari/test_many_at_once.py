"""Labelling many nuclei: painting a class click by click, and the lasso."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from qtpy.QtCore import Qt

from napari_muse.panels.muse_panel import MusePanel

from .actions import canvas_of, click, press, screen_point


def test_painting_gives_clicked_nuclei_the_class(opened: MusePanel, qtbot: Any) -> None:
    press(opened, qtbot, Qt.Key.Key_P)
    assert opened.edit.paint.isChecked()
    press(opened, qtbot, Qt.Key.Key_2)
    click(opened, qtbot, 100, 100)
    click(opened, qtbot, 300, 200)
    click(opened, qtbot, 50, 250)  # Where there is no nucleus.
    press(opened, qtbot, Qt.Key.Key_1)
    click(opened, qtbot, 200, 150)
    table = opened.session.annotations.to_table()
    assert table["class_name"].tolist() == ["tumor", "lymphocyte", "tumor"]
    assert table["status"].tolist() == ["corrected", "confirmed", "corrected"]
    press(opened, qtbot, Qt.Key.Key_Escape)
    assert not opened.edit.paint.isChecked()
    click(opened, qtbot, 100, 100)
    assert opened.session.nuclei.selected_ids.tolist() == [1], "a click selects again"


def test_a_lasso_selects_what_is_inside(opened: MusePanel, qtbot: Any) -> None:
    press(opened, qtbot, Qt.Key.Key_L)
    assert opened.edit.lasso.isChecked()
    canvas = canvas_of(opened)
    corners = [(60, 60), (230, 60), (230, 190), (60, 190), (60, 62)]
    points = [screen_point(opened, x, y) for x, y in corners]
    left = Qt.MouseButton.LeftButton
    qtbot.mouseMove(canvas, points[0])
    qtbot.mousePress(canvas, left, Qt.KeyboardModifier.NoModifier, points[0])
    for start, end in itertools.pairwise(points):
        for k in range(1, 11):
            qtbot.mouseMove(canvas, start + (end - start) * (k / 10))
            qtbot.wait(10)
    qtbot.mouseRelease(canvas, left, Qt.KeyboardModifier.NoModifier, points[-1])
    qtbot.wait(200)
    assert opened.session.nuclei.selected_ids.tolist() == [1, 2]
    assert not opened.edit.lasso.isChecked()
    assert opened.edit.selected.text() == "2 selected"
    press(opened, qtbot, Qt.Key.Key_2)
    assert opened.session.annotations.counts().tolist() == [1, 2]


@pytest.mark.parametrize("key", [Qt.Key.Key_Escape, Qt.Key.Key_L])
def test_a_key_puts_the_lasso_down(opened: MusePanel, qtbot: Any, key: Any) -> None:
    press(opened, qtbot, Qt.Key.Key_L)
    assert opened.session.viewer.layers.selection.active.name == "Lasso"
    press(opened, qtbot, key)
    assert not opened.session.viewer.layers["Lasso"].visible
    assert opened.session.viewer.layers.selection.active is opened.session.nuclei.layer
    assert not opened.edit.lasso.isChecked()


def test_the_button_puts_the_lasso_down(opened: MusePanel, qtbot: Any) -> None:
    qtbot.mouseClick(opened.edit.lasso, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(opened.edit.lasso, Qt.MouseButton.LeftButton)
    assert not opened.session.viewer.layers["Lasso"].visible
    assert not opened.edit.lasso.isChecked()


def test_one_tool_is_in_hand_at_a_time(opened: MusePanel, qtbot: Any) -> None:
    edit = opened.edit
    tools = {Qt.Key.Key_A: edit.add, Qt.Key.Key_P: edit.paint, Qt.Key.Key_L: edit.lasso}
    for taken, then in itertools.permutations(tools, 2):
        for key in (taken, then):
            press(opened, qtbot, key)
            assert [tool for tool in tools.values() if tool.isChecked()] == [tools[key]]
        lasso = then == Qt.Key.Key_L
        active = opened.session.viewer.layers.selection.active
        assert (active.name == "Lasso") == lasso, "the mouse is the tool's that is shown"
        press(opened, qtbot, Qt.Key.Key_Escape)
        assert not any(tool.isChecked() for tool in tools.values())


def test_only_the_left_button_adds(opened: MusePanel, qtbot: Any) -> None:
    press(opened, qtbot, Qt.Key.Key_A)
    canvas, none = canvas_of(opened), Qt.KeyboardModifier.NoModifier
    for button in (Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton):
        point = screen_point(opened, 60, 250)
        qtbot.mouseMove(canvas, point)
        qtbot.mouseClick(canvas, button, none, point)
        qtbot.wait(50)
        assert len(opened.session.annotations.rows) == 3
        assert len(opened.session.nuclei.layer.data) == 3
    click(opened, qtbot, 60, 250)
    assert len(opened.session.annotations.rows) == 4


def test_a_nucleus_beside_the_slide_is_refused(opened: MusePanel, qtbot: Any) -> None:
    opened.session.viewer.scene.camera.zoom /= 2
    press(opened, qtbot, Qt.Key.Key_A)
    click(opened, qtbot, -50, 100)
    assert "beside the slide" in opened.status.text()
    assert len(opened.session.annotations.rows) == 3
    assert len(opened.session.nuclei.layer.data) == 3
