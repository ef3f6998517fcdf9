"""A typed scale that differs from the file's leads to a question in the panel, without blocking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_muse.panels.muse_panel import MusePanel

from ..actions import QTest


def type_scale(panel: MusePanel, text: str) -> None:
    field = panel.detect.mpp
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Qt.Key.Key_Return)


def click(button: QWidget) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_the_scale_of_the_file_is_kept_until_the_user_insists(
    opened: MusePanel, qtbot: Any, shoot: Callable[[QWidget, str], None]
) -> None:
    question = opened.detect.scale.question
    assert not question.isVisible()
    type_scale(opened, "0.25")
    assert question.isVisible()
    assert "The file states 0.5" in question.sentence.text()
    assert (question.use.text(), question.keep.text()) == ("Use 0.25", "Keep 0.5")
    assert opened.session.mpp == 0.5
    shoot(opened, "scale-question")
    click(question.keep)
    assert (opened.session.mpp, opened.detect.mpp.value()) == (0.5, 0.5)
    assert not question.isVisible()
    type_scale(opened, "0.25")
    click(question.use)
    assert (opened.session.mpp, opened.detect.mpp.value()) == (0.25, 0.25)
    assert opened.session.slide.scale.source == "forced"
    # Back to the file's scale, without a question.
    type_scale(opened, "0.5")
    assert not question.isVisible()
    assert opened.session.mpp == 0.5
    assert opened.session.slide.scale.source == "file"


def test_detection_waits_for_the_answer(opened: MusePanel, qtbot: Any) -> None:
    type_scale(opened, "0.25")
    opened.detect.run()
    assert not opened.detection.running
    assert "which scale" in opened.detect.message.text()


def test_another_slide_takes_the_question_away(
    opened: MusePanel, unscaled_slide: Path, qtbot: Any
) -> None:
    type_scale(opened, "0.25")
    opened.session.viewer.open(unscaled_slide, plugin="napari-muse")
    assert not opened.detect.scale.question.isVisible()
    # For a slide that states none the user's scale is accepted.
    type_scale(opened, "0.3")
    assert not opened.detect.scale.question.isVisible()
    assert opened.session.mpp == 0.3
