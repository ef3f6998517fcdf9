"""A key that changes many nuclei asks for confirmation, and can be undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QPushButton

from napari_muse.interaction.careful_edits import MOST_UNASKED
from napari_muse.layers.rows_in_view import MAX_IN_VIEW
from napari_muse.panels.muse_panel import MusePanel

from ..actions import press

LEFT = Qt.MouseButton.LeftButton


def _add(panel: MusePanel, count: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 400, count), rng.uniform(0, 300, count)
    panel.session.annotations.append(
        x, y, np.ones(count, int), np.ones(count), "m", 0.0, entropy=np.ones(count)
    )
    panel.session.nuclei.refresh()


def _question(panel: MusePanel) -> QMessageBox:
    (box,) = [b for b in panel.findChildren(QMessageBox) if b.isVisible()]
    return box


def _answer(panel: MusePanel, qtbot: Any, text: str) -> None:
    box = _question(panel)
    (button,) = [b for b in box.findChildren(QPushButton) if b.text().strip("&") == text]
    qtbot.mouseClick(button, LEFT)
    qtbot.wait(50)


@pytest.mark.parametrize("count", [MOST_UNASKED, MAX_IN_VIEW + 1])
def test_r_over_many_nuclei_asks(opened: MusePanel, qtbot: Any, count: int) -> None:
    annotations = opened.session.annotations
    _add(opened, count)
    press(opened, qtbot, Qt.Key.Key_R)
    assert annotations.regions().empty
    said = _question(opened).text()
    assert f"{count + 3:,} nuclei" in said
    assert ("too many to draw" in said) == (count > MAX_IN_VIEW)
    qtbot.keyClick(_question(opened), Qt.Key.Key_Return)
    qtbot.wait(50)
    assert annotations.regions().empty, "Return is no"
    press(opened, qtbot, Qt.Key.Key_R)
    _answer(opened, qtbot, "Mark as reviewed")
    assert annotations.regions()["reviewed"].tolist() == [True]
    assert f"{count + 3:,} nuclei marked as reviewed" in opened.status.text()
    assert opened.status.undo.isVisible()
    qtbot.mouseClick(opened.status.undo, LEFT)
    assert annotations.regions().empty
    assert not opened.status.undo.isVisible()


def _show_another_slide(panel: MusePanel, small_slide: Path) -> None:
    before = panel.session.annotations
    other = small_slide.with_name("other.tif")
    other.write_bytes(small_slide.read_bytes() + b"other")
    panel.session.viewer.open(other, plugin="napari-muse")
    assert panel.session.annotations is not before


def test_a_field_is_marked_on_the_slide_that_was_asked_about(
    opened: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    session = opened.session
    annotations = session.annotations
    _add(opened, MOST_UNASKED)
    press(opened, qtbot, Qt.Key.Key_R)
    _show_another_slide(opened, small_slide)
    _answer(opened, qtbot, "Mark as reviewed")
    assert annotations.regions()["reviewed"].tolist() == [True]
    assert session.annotations.regions().empty
    assert opened.status.text() == (
        f"small.tif: Field with {MOST_UNASKED + 3} nuclei marked as reviewed."
    )
    assert not opened.status.undo.isVisible(), "it would undo an edit of the slide that is shown"


def test_nuclei_are_removed_from_the_slide_that_was_asked_about(
    opened: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    session, asked_about = opened.session, opened.session.annotations
    _add(opened, MOST_UNASKED)
    session.nuclei.select(asked_about.rows["id"])
    press(opened, qtbot, Qt.Key.Key_Delete)
    _show_another_slide(opened, small_slide)
    _add(opened, 10)
    opened.queue.next()
    at = opened.queue.current
    _answer(opened, qtbot, "Remove them")
    assert not asked_about.present.any()
    assert session.annotations.present.sum() == 10
    assert opened.queue.current == at, "the queue of the slide that is shown goes no further"
    assert not opened.status.undo.isVisible()


def test_r_over_few_nuclei_says_what_it_did(opened: MusePanel, qtbot: Any) -> None:
    press(opened, qtbot, Qt.Key.Key_R)
    assert "3 nuclei marked as reviewed" in opened.status.text()
    assert opened.status.undo.isVisible()


def test_ticking_a_large_region_asks(opened: MusePanel, qtbot: Any) -> None:
    _add(opened, MOST_UNASKED)
    opened.tabs.setCurrentIndex(2)
    annotations = opened.session.annotations
    annotations.add_region([(0, 0), (400, 0), (400, 300), (0, 300)], reviewed=False, name="all")
    table = opened.regions.table
    table.item(0, 1).setCheckState(Qt.CheckState.Checked)
    _answer(opened, qtbot, "Cancel")
    assert table.item(0, 1).checkState() == Qt.CheckState.Unchecked
    table.item(0, 1).setCheckState(Qt.CheckState.Checked)
    _answer(opened, qtbot, "Mark as reviewed")
    assert annotations.regions()["reviewed"].tolist() == [True]
    table.item(0, 1).setCheckState(Qt.CheckState.Unchecked)
    assert annotations.regions()["reviewed"].tolist() == [False]


@pytest.mark.parametrize(
    ("key", "button"),
    [
        (Qt.Key.Key_2, "Give them the class"),
        (Qt.Key.Key_Space, "Confirm them"),
        (Qt.Key.Key_Delete, "Remove them"),
    ],
)
def test_one_key_over_many_nuclei_asks(
    opened: MusePanel, qtbot: Any, key: Any, button: str
) -> None:
    _add(opened, MOST_UNASKED)
    annotations = opened.session.annotations
    before = annotations.rows.copy()
    opened.session.nuclei.select(before["id"])
    press(opened, qtbot, key)
    _answer(opened, qtbot, "Cancel")
    np.testing.assert_array_equal(annotations.rows["status"], before["status"])
    press(opened, qtbot, key)
    assert "503 nuclei" in _question(opened).text()
    _answer(opened, qtbot, button)
    assert (annotations.rows["status"] != before["status"]).all()
    assert "503 nuclei" in opened.status.text()
    qtbot.mouseClick(opened.status.undo, LEFT)
    np.testing.assert_array_equal(annotations.rows["status"], before["status"])
    opened.session.nuclei.select([1, 2])
    press(opened, qtbot, key)
    assert "2 nuclei" in opened.status.text(), "few are not asked about"
