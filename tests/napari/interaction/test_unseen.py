"""Keys do not change nuclei that are not visible, or say so; what they create is shown."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QPushButton

from napari_muse.annotations.review_queue import QueueChoice
from napari_muse.panels.muse_panel import MusePanel

from ..actions import canvas_of, click, press

CTRL = Qt.KeyboardModifier.ControlModifier
HIDDEN = "The nuclei are hidden; press V to show them."


def _content(panel: MusePanel) -> list[tuple[str, str]]:
    table = panel.session.annotations.to_table()
    return list(zip(table["class_name"], table["status"], strict=True))


def _look_away(panel: MusePanel) -> None:
    panel.session.viewer.scene.camera.zoom = 20.0
    panel.session.viewer.scene.camera.center = (0.0, 10.0, 10.0)


@pytest.mark.parametrize(
    "key", [Qt.Key.Key_2, Qt.Key.Key_Space, Qt.Key.Key_Delete, Qt.Key.Key_Backspace, Qt.Key.Key_R]
)
def test_no_key_changes_hidden_nuclei(opened: MusePanel, qtbot: Any, key: Any) -> None:
    click(opened, qtbot, 200, 150)
    before = _content(opened)
    press(opened, qtbot, Qt.Key.Key_V)
    press(opened, qtbot, key)
    assert _content(opened) == before
    assert opened.session.annotations.regions().empty
    assert opened.status.text() == HIDDEN
    press(opened, qtbot, Qt.Key.Key_V)
    assert opened.session.nuclei.selected_ids.tolist() == [2], "a look at the tissue costs nothing"
    press(opened, qtbot, key)
    assert _content(opened) != before or not opened.session.annotations.regions().empty


def test_napari_s_own_tool_removes_no_hidden_nuclei(opened: MusePanel, qtbot: Any) -> None:
    nuclei = opened.session.nuclei
    click(opened, qtbot, 200, 150)
    press(opened, qtbot, Qt.Key.Key_V)
    nuclei.layer.remove_selected()
    assert opened.status.text() == HIDDEN
    qtbot.waitUntil(lambda: len(nuclei.layer.data) == 3)
    assert len(_content(opened)) == 3


def test_hiding_a_class_ends_the_selection_of_its_nuclei(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    session.annotations.set_class([2], session.annotations.class_ids[1])
    session.nuclei.select([1, 2])
    opened.legend.shown[1].click()
    assert session.nuclei.selected_ids.tolist() == [1]
    press(opened, qtbot, Qt.Key.Key_Delete)
    assert len(_content(opened)) == 2


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (Qt.Key.Key_2, "1 nucleus is tumor. It is out of view."),
        (Qt.Key.Key_Space, "1 nucleus confirmed. It is out of view."),
        (Qt.Key.Key_Delete, "1 nucleus removed. It is out of view."),
    ],
)
def test_what_is_done_beside_the_view_is_said(
    opened: MusePanel, qtbot: Any, key: Any, said: str
) -> None:
    click(opened, qtbot, 200, 150)
    _look_away(opened)
    before = _content(opened)
    press(opened, qtbot, key)
    assert opened.status.text() == said
    qtbot.mouseClick(opened.status.undo, Qt.MouseButton.LeftButton)
    assert _content(opened) == before


def test_how_many_of_several_are_beside_the_view_is_said(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    session.nuclei.select([1, 2, 3])
    session.viewer.scene.camera.zoom = 6.0 * session.viewer.scene.camera.zoom
    session.viewer.scene.camera.center = (
        0.0, *session.placement.to_world([100.0], [100.0])[0].tolist()
    )  # fmt: skip
    press(opened, qtbot, Qt.Key.Key_Space)
    assert opened.status.text() == "3 nuclei confirmed. 2 of them are out of view."


def test_the_queue_shows_where_it_leads(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    press(opened, qtbot, Qt.Key.Key_V)
    opened.legend.shown[0].click()
    assert not session.nuclei.layer.visible
    opened.queue.start(QueueChoice())
    assert session.nuclei.layer.visible
    assert opened.legend.shown[0].isChecked()
    assert session.nuclei.selected_ids.tolist() == [opened.queue.current]
    # While the view is still moving there is no message that the nucleus is outside it.
    opened.status.say("")
    qtbot.keyClick(canvas_of(opened), Qt.Key.Key_Space)
    assert opened.status.text() == ""
    assert sum(status == "confirmed" for _, status in _content(opened)) == 1


def test_a_class_is_shown_again_when_a_nucleus_of_it_is_added(
    opened: MusePanel, qtbot: Any
) -> None:
    session = opened.session
    opened.legend.choose_new(1)
    opened.legend.shown[1].click()
    press(opened, qtbot, Qt.Key.Key_A)
    click(opened, qtbot, 250, 60)
    assert opened.legend.shown[1].isChecked()
    (added,) = session.nuclei.selected_ids.tolist()
    assert added in session.nuclei.shown_ids
    press(opened, qtbot, Qt.Key.Key_A)
    session.nuclei.select([added])
    press(opened, qtbot, Qt.Key.Key_C, CTRL)
    press(opened, qtbot, Qt.Key.Key_Delete)
    press(opened, qtbot, Qt.Key.Key_V)
    opened.legend.shown[1].click()
    press(opened, qtbot, Qt.Key.Key_V, CTRL)
    assert session.nuclei.layer.visible
    assert opened.legend.shown[1].isChecked()
    assert set(session.nuclei.selected_ids) <= set(session.nuclei.shown_ids)


@pytest.mark.parametrize("key", [Qt.Key.Key_P, Qt.Key.Key_L])
def test_tools_for_nuclei_show_them(opened: MusePanel, qtbot: Any, key: Any) -> None:
    press(opened, qtbot, Qt.Key.Key_V)
    press(opened, qtbot, key)
    assert opened.session.nuclei.layer.visible


def test_a_field_with_hidden_classes_is_asked_about(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    session.annotations.set_class([2], session.annotations.class_ids[1])
    opened.legend.shown[1].click()
    press(opened, qtbot, Qt.Key.Key_R)
    (box,) = [b for b in opened.findChildren(QMessageBox) if b.isVisible()]
    assert "3 nuclei, 1 of them of classes that are hidden," in box.text()
    (cancel,) = [b for b in box.findChildren(QPushButton) if b.text().strip("&") == "Cancel"]
    qtbot.mouseClick(cancel, Qt.MouseButton.LeftButton)
    assert session.annotations.regions().empty
