"""The width of the panel's tabs."""

from __future__ import annotations

from typing import Any

import pytest
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget

from napari_muse.panels.muse_panel import MusePanel
from napari_muse.panels.page import Page


def dock_of(panel: MusePanel) -> QDockWidget:
    widget = panel.parentWidget()
    while not isinstance(widget, QDockWidget):
        assert widget is not None
        widget = widget.parentWidget()
    return widget


@pytest.mark.usefixtures("styled")
def test_larger_letters_are_cut_off_nowhere(opened: MusePanel, qtbot: Any) -> None:
    """As small a dock as a person can make it, in a small window."""
    window, dock = opened.session.viewer.window._qt_window, dock_of(opened)
    letters = get_settings().appearance
    pages = opened.findChildren(Page)
    assert len(pages) == 4
    size, widths = letters.font_size, []
    try:
        for points in (size, 2 * size):
            letters.font_size = points
            qtbot.wait(100)
            window.resizeDocks([dock], [1], Qt.Orientation.Horizontal)
            qtbot.wait(100)
            widths.append(opened.width())
            for at, page in enumerate(pages):
                opened.tabs.setCurrentIndex(at)
                qtbot.wait(50)
                assert page.widget().width() <= page.viewport().width(), (points, at)
    finally:
        letters.font_size = size
        qtbot.wait(100)
    assert widths[0] == 350
    assert widths[1] > 350


def test_the_dock_opens_no_wider_than_its_controls(panel: MusePanel) -> None:
    assert panel.sizeHint().width() <= panel.minimumSizeHint().width()
