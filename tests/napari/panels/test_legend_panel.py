"""The legend: many classes, few of them on a low screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QScrollArea,
    QTableWidget,
    QWidget,
)

from muse_core.nuclei import ClassScheme
from napari_muse.annotations.class_edits import ClassEdits
from napari_muse.panels.muse_panel import MusePanel

_LOW_PX = 600
"""What a screen of 768 px has left for the dock, and less."""


def _area(panel: MusePanel) -> QScrollArea:
    area = panel.legend.findChild(QScrollArea)
    assert area is not None
    return area


@pytest.mark.usefixtures("styled")
def test_many_classes_scroll_and_do_not_grow_the_window(opened: MusePanel, qtbot: Any) -> None:
    scheme = ClassScheme.from_names([f"class {n}" for n in range(30)])
    opened.session.annotations.adopt_scheme(scheme)
    qtbot.wait(50)
    assert len(opened.legend.shown) == 32
    assert opened.minimumSizeHint().height() <= _LOW_PX
    area = _area(opened)
    for box in (opened.legend.shown[-1], opened.legend.shown[0]):
        area.ensureWidgetVisible(box)
        seen = area.viewport()
        assert isinstance(seen, QWidget)
        assert seen.rect().contains(box.mapTo(seen, box.rect().center()))


@pytest.mark.usefixtures("styled")
def test_few_classes_are_seen_at_once(opened: MusePanel, qtbot: Any) -> None:
    _see_all(opened, qtbot)


def test_few_classes_are_seen_at_once_in_a_style_given_later(
    opened: MusePanel, styled: None, qtbot: Any
) -> None:
    _see_all(opened, qtbot)


def _see_all(opened: MusePanel, qtbot: Any) -> None:
    qtbot.wait(50)
    bar = _area(opened).verticalScrollBar()
    assert bar is not None
    assert bar.maximum() == 0
    assert not bar.isVisible()


@pytest.mark.usefixtures("styled")
def test_many_classes_leave_room_for_the_tabs(opened: MusePanel, qtbot: Any) -> None:
    scheme = ClassScheme.from_names([f"class {n}" for n in range(30)])
    opened.session.annotations.adopt_scheme(scheme)
    qtbot.waitUntil(lambda: len(opened.legend.shown) == 32)
    screen = opened.screen()
    assert screen is not None
    room = screen.availableGeometry().height() * 0.3
    assert _area(opened).sizeHint().height() <= max(room, 130)
    qtbot.waitUntil(lambda: opened.tabs.height() > 200)


@pytest.mark.usefixtures("styled")
def test_names_are_shown_as_far_as_there_is_room(opened: MusePanel, qtbot: Any) -> None:
    name = "An & epithelial cell of the crypts, with a nucleolus"
    opened.session.annotations.adopt_scheme(ClassScheme.from_names([name]))
    legend = opened.legend
    qtbot.waitUntil(lambda: len(legend.shown) == 3)
    narrow, shown = legend.minimumSizeHint().width(), []
    for width in (narrow, narrow + 100, narrow + 350):
        legend.setFixedWidth(width)
        qtbot.wait(100)
        shown.append(legend.shown[-1].text().replace("&&", "&"))
    assert shown[2] == name
    assert len(shown[0]) < len(shown[1]) < len(name)


def test_a_hidden_class_stays_hidden_when_classes_change_and_not_on_another_slide(
    opened: MusePanel, cmu_slide: Path, qtbot: Any
) -> None:
    session, legend = opened.session, opened.legend
    edits = ClassEdits(session.annotations)
    session.annotations.set_class([3], 2)
    legend.shown[0].click()
    edits.set_color("tumor", "#112233")
    edits.rename("lymphocyte", "lymphoid")
    edits.add()
    qtbot.waitUntil(lambda: session.nuclei.shown_ids.tolist() == [3])
    assert [box.isChecked() for box in legend.shown] == [False, True, True]
    scheme = session.annotations.scheme
    session.viewer.open(cmu_slide, plugin="napari-muse")
    session.annotations.adopt_scheme(scheme)
    assert all(box.isChecked() for box in legend.shown)
    assert not session.nuclei.hidden_classes


def test_every_control_has_a_name_and_says_what_it_does(opened: MusePanel) -> None:
    kinds = QAbstractButton | QAbstractSpinBox | QComboBox | QTableWidget
    names = {label.buddy(): label.text() for label in opened.findChildren(QLabel)}
    dialog = opened.legend.edit_classes()
    controls = [*opened.findChildren(QWidget), *dialog.findChildren(QWidget)]
    unnamed = [
        (type(w).__name__, w.toolTip())
        for w in controls
        if isinstance(w, kinds) and not w.objectName().startswith(("qt_", "Scroll"))
        if not (w.accessibleName() or getattr(w, "text", str)() or names.get(w))
    ]
    dialog.close()
    # The texts of its buttons come with the question.
    assert {name for name, _ in unnamed} <= {"QPushButton"}
    assert {tip for _, tip in unnamed} == {
        "Take the scale that was typed",
        "Take the scale that the image states",
    }
