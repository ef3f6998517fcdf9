"""Numbers as people type them: a point or a comma, whatever the language of the window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QLocale, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QAbstractSpinBox, QApplication

from napari_muse.interaction.typed_number import NumberRule
from napari_muse.panels.muse_panel import MusePanel
from napari_muse.panels.number_field import NumberField

from ..actions import QTest, use_window


@pytest.fixture(params=["en_US", "de_DE", "fr_FR", "ar_EG"])
def language(request: Any) -> Iterator[str]:
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield request.param
    QLocale.setDefault(before)


def type_into(field: NumberField, text: str, enter: bool = True) -> None:
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, text)
    if enter:
        QTest.keyClick(field, Qt.Key.Key_Return)


def use_typed_scale(panel: MusePanel) -> None:
    """Answer that the typed scale is to be used, though the file states another."""
    question = panel.detect.scale.question
    assert question.isVisible()
    QTest.mouseClick(question.use, Qt.MouseButton.LeftButton)
    assert not question.isVisible()


def test_a_typed_scale_is_read_in_every_language(
    language: str, panel: MusePanel, muse_data: Path
) -> None:
    panel.session.viewer.open(muse_data / "slides" / "pyramid-no-mpp.tiff", plugin="napari-muse")
    assert panel.detect.mpp.text() == "unknown"
    for text, value in (
        ("0.25", 0.25), ("0,25", 0.25), ("0.499", 0.499), ("0,499", 0.499), ("1.0", 1.0),
        (".5", 0.5), ("0.2523", 0.2523), ("0,12345678", 0.12345678),
    ):  # fmt: skip
        type_into(panel.detect.mpp, text)
        assert panel.session.mpp == value
        assert panel.detect.mpp.value() == value
    for text in ("0.35", "0,35"):
        panel.detect.min_score.show_value(0.1)
        type_into(panel.detect.min_score, text)
        assert panel.detect.min_score.value() == 0.35


def test_what_cannot_be_a_scale_is_refused_and_said(opened: MusePanel, qtbot: Any) -> None:
    field = opened.detect.mpp
    assert field.text() == "0.5"
    for text in ("abc", "0.2.5", "25", "0", "-1", "1e99"):
        type_into(field, text, enter=False)
        assert field.text() == text, "no key is swallowed"
        QTest.keyClick(field, Qt.Key.Key_Return)
        assert opened.session.mpp == 0.5
        assert field.text() == "0.5"
        assert text in opened.detect.message.text()
        assert "border" in field.lineEdit().styleSheet()
    type_into(field, "0,25")
    use_typed_scale(opened)
    assert opened.session.mpp == 0.25
    assert field.lineEdit().styleSheet() == ""


def test_a_known_scale_does_not_become_unknown(opened: MusePanel, qtbot: Any) -> None:
    field = opened.detect.mpp
    type_into(field, "\b")
    assert opened.session.mpp == 0.5
    assert field.text() == "0.5"
    assert "known" in opened.detect.message.text()
    for _ in range(30):
        QTest.keyClick(field, Qt.Key.Key_Down)
    QTest.keyClick(field, Qt.Key.Key_Return)
    use_typed_scale(opened)
    assert opened.session.mpp == 0.01


def test_leaving_the_field_takes_what_was_typed_and_escape_does_not(
    opened: MusePanel, qtbot: Any
) -> None:
    use_window(opened, qtbot)
    field = opened.detect.mpp
    type_into(field, "0,3", enter=False)
    QTest.keyClick(field, Qt.Key.Key_Escape)
    assert field.text() == "0.5"
    type_into(field, "0,3", enter=False)
    opened.detect.min_score.setFocus()
    use_typed_scale(opened)
    assert opened.session.mpp == 0.3


def test_what_is_being_typed_counts_when_detection_starts(opened: MusePanel, qtbot: Any) -> None:
    type_into(opened.detect.min_score, "0.x", enter=False)
    opened.detect.run()
    assert "0.x" in opened.detect.message.text()
    assert not opened.detection.running


def test_the_wheel_turns_only_a_field_in_use(opened: MusePanel, qtbot: Any) -> None:
    use_window(opened, qtbot)
    field = opened.detect.mpp
    opened.detect.start.setFocus()
    for used in (False, True):
        at = field.rect().center()
        event = QWheelEvent(
            QPointF(at), QPointF(field.mapToGlobal(at)), QPoint(0, 120), QPoint(0, 120),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(field, event)
        assert field.value() == (0.55 if used else 0.5)
        field.setFocus()


def test_whole_numbers_and_units(qtbot: Any) -> None:
    whole = NumberField(NumberRule("The number of fields", 1, 100, decimals=0))
    percent = NumberField(NumberRule("The share", 0, 100, decimals=1, unit=" %"), step=5)
    said: list[str] = []
    for field in (whole, percent):
        qtbot.addWidget(field)
        field.refused.connect(said.append)
        field.show()
    type_into(whole, "12")
    assert whole.text() == "12"
    type_into(whole, "12,5")
    assert (whole.value(), len(said)) == (12, 1)
    assert "whole number" in said[-1]
    type_into(percent, "12,5")
    assert percent.text() == "12.5 %"
    type_into(percent, "7.5 %")
    assert percent.value() == 7.5
    type_into(percent, "101")
    assert (percent.value(), len(said)) == (7.5, 2)


def test_every_number_field_of_the_window_is_ours(opened: MusePanel) -> None:
    boxes = opened.findChildren(QAbstractSpinBox)
    assert boxes
    assert all(isinstance(box, NumberField) for box in boxes)
