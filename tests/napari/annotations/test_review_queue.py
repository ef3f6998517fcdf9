from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_muse.panels.muse_panel import MusePanel

from ..actions import press

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def doubtful(opened: MusePanel, qtbot: Any) -> MusePanel:
    """Six nuclei, ids 1 to 6; of 4 to 6, 5 is known to be the most uncertain and 4 the least."""
    x, y = [50, 150, 250], [250, 250, 250]
    uncertainty = {"entropy": [0.1, 0.9, 0.5], "margin": [0.9, 0.6, 0.1]}
    opened.session.annotations.append(x, y, [1, 2, 1], [0.5, 0.5, 0.5], "m", 6.0, **uncertainty)
    opened.session.nuclei.refresh()
    return opened


def _selected(panel: MusePanel) -> list[int]:
    result: list[int] = panel.session.nuclei.selected_ids.tolist()
    return result


def test_n_goes_from_doubt_to_doubt_and_shift_n_back(doubtful: MusePanel, qtbot: Any) -> None:
    seen = []
    for _ in range(4):
        press(doubtful, qtbot, Qt.Key.Key_N)
        seen += _selected(doubtful)
    # Known ones first, then the least likely: 3 has the lowest score of the first three.
    assert seen == [5, 6, 4, 3]
    press(doubtful, qtbot, Qt.Key.Key_N, SHIFT)
    assert _selected(doubtful) == [4]
    assert doubtful.review.message.text() == "3 of 6; 3 left"


def test_before_the_first_there_is_a_sentence(doubtful: MusePanel, qtbot: Any) -> None:
    press(doubtful, qtbot, Qt.Key.Key_N, SHIFT)
    assert "no nucleus before" in doubtful.status.text()
    press(doubtful, qtbot, Qt.Key.Key_N)
    doubtful.status.say("")
    press(doubtful, qtbot, Qt.Key.Key_N, SHIFT)
    assert "no nucleus before" in doubtful.status.text()
    assert _selected(doubtful) == [5], "it stays where it is"


def test_the_view_flies_there_and_comes_near(doubtful: MusePanel, qtbot: Any) -> None:
    doubtful.session.viewer.scene.camera.zoom /= 2
    press(doubtful, qtbot, Qt.Key.Key_N)
    view = doubtful.session.nuclei.field_of_view
    qtbot.waitUntil(lambda: view().w * 0.5 < 130, timeout=3000)
    qtbot.waitUntil(
        lambda: np.hypot(view().x + view().w / 2 - 150, view().y + view().h / 2 - 250) < 1,
        timeout=3000,
    )


@pytest.mark.parametrize("end", [MusePanel.close, lambda panel: panel.queue.stop()])
def test_what_has_ended_leaves_the_view_alone(
    doubtful: MusePanel, end: Callable[[MusePanel], object], qtbot: Any
) -> None:
    camera = doubtful.session.viewer.scene.camera
    doubtful.queue.next()
    end(doubtful)
    camera.center = (0.0, 10.0, 20.0)
    qtbot.wait(300)
    assert camera.center == (0.0, 10.0, 20.0)


def test_a_decision_leads_to_the_next(doubtful: MusePanel, qtbot: Any) -> None:
    press(doubtful, qtbot, Qt.Key.Key_N)
    press(doubtful, qtbot, Qt.Key.Key_1)
    assert _selected(doubtful) == [6]
    press(doubtful, qtbot, Qt.Key.Key_Space)
    assert _selected(doubtful) == [4]
    press(doubtful, qtbot, Qt.Key.Key_Delete)
    assert _selected(doubtful) == [3]
    status = doubtful.session.annotations.to_table().set_index("id")["status"].to_dict()
    assert (status[5], status[6]) == ("corrected", "confirmed")
    assert 4 not in status


def test_it_stays_where_it_is_if_told_so(doubtful: MusePanel, qtbot: Any) -> None:
    doubtful.review.go_on.setChecked(False)
    press(doubtful, qtbot, Qt.Key.Key_N)
    press(doubtful, qtbot, Qt.Key.Key_Space)
    assert _selected(doubtful) == [5]


def test_one_class_and_one_region_alone(doubtful: MusePanel, qtbot: Any) -> None:
    panel = doubtful.review
    panel.of_class.setCurrentText("tumor")
    qtbot.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    assert _selected(doubtful) == [5]
    assert doubtful.queue.length == 1
    doubtful.session.annotations.add_region([(0, 0), (240, 0), (240, 300), (0, 300)], False, "left")
    panel.of_class.setCurrentIndex(0)
    panel.within.setCurrentText("left")
    panel.kind.setCurrentIndex(panel.kind.findData("margin"))
    qtbot.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    order = [_selected(doubtful)[0]]
    for _ in range(doubtful.queue.length - 1):
        qtbot.mouseClick(panel.skip, Qt.MouseButton.LeftButton)
        order += _selected(doubtful)
    assert order == [5, 4, 2, 1]


def test_at_the_end_there_is_a_sentence(doubtful: MusePanel, qtbot: Any) -> None:
    press(doubtful, qtbot, Qt.Key.Key_N)
    for _ in range(6):
        press(doubtful, qtbot, Qt.Key.Key_Space)
    assert "last one" in doubtful.status.text()
    assert not doubtful.queue.running
    press(doubtful, qtbot, Qt.Key.Key_N)
    assert "nobody has looked at" in doubtful.status.text()


def test_neighbours_that_were_not_compared_are_not_guessed(doubtful: MusePanel, qtbot: Any) -> None:
    panel = doubtful.review
    panel.kind.setCurrentIndex(panel.kind.findData("disagreement"))
    qtbot.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    assert "Compare neighbours" in doubtful.status.text()


def test_thirty_nuclei_from_the_keyboard_alone(opened: MusePanel, qtbot: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(10, 390, 30), rng.uniform(10, 290, 30)
    opened.session.annotations.append(x, y, np.ones(30, int), rng.uniform(0.1, 0.6, 30), "m", 0.0)
    press(opened, qtbot, Qt.Key.Key_N)
    for k in range(30):
        # Without waiting for the camera: the next decision is made while it moves.
        qtbot.keyClick(
            opened.session.viewer.window._qt_viewer.canvas.native,
            (Qt.Key.Key_Space, Qt.Key.Key_2, Qt.Key.Key_Delete)[k % 3],
        )
    rows = opened.session.annotations.rows
    assert (rows["status"] != 0).sum() == 30
    assert opened.queue.left() == 2


def test_comparing_neighbours_fills_the_queue(
    panel: MusePanel, cmu_slide: Path, qtbot: Any
) -> None:
    session = panel.session
    session.viewer.open(cmu_slide, plugin="napari-muse")
    qtbot.mouseClick(panel.review.compare, Qt.MouseButton.LeftButton)
    assert "detect some first" in panel.status.text()
    rng = np.random.default_rng(0)
    x, y = rng.uniform(700, 1000, (2, 40)) + np.array([[0], [800]])
    classes = np.array([1] * 39 + [2])
    session.annotations.append(x, y, classes, np.full(40, 0.9), "m", 0.0)
    qtbot.mouseClick(panel.review.compare, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.comparison.running, timeout=300_000)
    assert "40 nuclei were compared" in panel.review.compared.text()
    qtbot.mouseClick(panel.review.start, Qt.MouseButton.LeftButton)
    assert _selected(panel) == [40], "the only one of its class is the most unlike its neighbours"


def test_n_goes_by_the_form_and_a_slide_keeps_no_region_of_another(
    doubtful: MusePanel, cmu_slide: Path, qtbot: Any
) -> None:
    panel, session = doubtful.review, doubtful.session
    session.annotations.add_region([(0, 0), (240, 0), (240, 300), (0, 300)], False, "left")
    panel.within.setCurrentText("left")
    panel.kind.setCurrentIndex(panel.kind.findData("margin"))
    press(doubtful, qtbot, Qt.Key.Key_N)
    assert _selected(doubtful) == [5]
    assert doubtful.queue.length == 4
    session.viewer.open(cmu_slide, plugin="napari-muse")
    session.annotations.append([1000, 1500], [900, 1500], [1, 1], [0.9, 0.5], "m", 6.0)
    session.annotations.add_region([(0, 0), (1200, 0), (1200, 1200), (0, 1200)], False, "other")
    assert panel.within.currentText() == "Whole slide"
    press(doubtful, qtbot, Qt.Key.Key_N)
    assert doubtful.queue.length == 2


def test_nuclei_that_are_gone_and_come_back_are_known(doubtful: MusePanel, qtbot: Any) -> None:
    annotations, queue = doubtful.session.annotations, doubtful.queue
    press(doubtful, qtbot, Qt.Key.Key_N)
    assert queue.left() == 5
    annotations.begin_detection(np.isin(annotations.rows["id"], [1, 6]), 6.0)
    assert queue.left() == 3
    press(doubtful, qtbot, Qt.Key.Key_N)
    assert _selected(doubtful) == [4], "6 is being replaced"
    annotations.delete([5])
    press(doubtful, qtbot, Qt.Key.Key_N, SHIFT)
    assert "no nucleus before" in doubtful.status.text()
    annotations.end_detection("cancelled")
    press(doubtful, qtbot, Qt.Key.Key_N, SHIFT)
    assert _selected(doubtful) == [6]
