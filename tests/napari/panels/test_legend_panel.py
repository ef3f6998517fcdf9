"""The legend: many classes, few of them on a low screen."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtWidgets import QScrollArea, QWidget

from muse_core.nuclei import ClassScheme
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
