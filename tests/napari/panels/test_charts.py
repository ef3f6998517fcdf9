"""Colours and names in the charts of the panel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextCursor
from qtpy.QtWidgets import QApplication, QPushButton, QVBoxLayout, QWidget

from muse_core.nuclei import ClassScheme
from napari_muse.panels.charts import chart, set_heading, show_counts

LIGHT = "QWidget { background-color: #eeeeee; color: #111111; }"
DARK = "QWidget { background-color: #222222; color: #dddddd; }"


@pytest.fixture
def plot(qtbot: Any) -> Iterator[Any]:
    """A chart in a window of 400 px."""
    window, plot = QWidget(), chart("Nuclei", 130)
    QVBoxLayout(window).addWidget(plot)
    window.setStyleSheet(DARK)
    window.resize(400, 200)
    window.show()
    qtbot.waitExposed(window)
    yield plot
    window.close()


def _colors(plot: Any) -> tuple[str, str, str]:
    """Of the background, the heading and an axis."""
    cursor = QTextCursor(plot.getPlotItem().titleLabel.item.document())
    cursor.movePosition(QTextCursor.MoveOperation.End)
    heading = cursor.charFormat().foreground()
    axis = plot.getAxis("left").textPen().color().name()
    return plot.backgroundBrush().color().name(), heading.color().name(), axis


def _names(plot: Any) -> list[str]:
    return [text for _, text in plot.getAxis("bottom")._tickLevels[0]]


def test_a_chart_follows_the_theme(plot: Any) -> None:
    set_heading(plot, "Whole slide")
    assert _colors(plot) == ("#222222", "#dddddd", "#dddddd")
    plot.window().setStyleSheet(LIGHT)
    assert _colors(plot) == ("#eeeeee", "#111111", "#111111")
    assert plot.getPlotItem().titleLabel.text == "Whole slide"


def test_names_of_many_classes_do_not_overlap(plot: Any) -> None:
    names = [f"epithelial cell of type {i}" for i in range(8)]
    show_counts(plot, "All", ClassScheme.from_names(names).classes, np.arange(8))
    assert all(text.startswith("e") for text in _names(plot))
    assert sum(map(plot.fontMetrics().horizontalAdvance, _names(plot))) < plot.width()


def test_few_names_are_shown_whole(plot: Any) -> None:
    show_counts(plot, "All", ClassScheme.from_names(["lymphocyte", "tumor"]).classes, np.arange(2))
    assert _names(plot) == ["lymphocyte", "tumor"]


@pytest.mark.parametrize(("most", "top"), [(0, 5), (2, 5), (700, 700)])
def test_the_axis_of_counts_begins_at_zero(plot: Any, most: int, top: int) -> None:
    scheme = ClassScheme.from_names(["lymphocyte", "tumor"])
    show_counts(plot, "All", scheme.classes, np.array([0, most]))
    # As pyqtgraph does before it paints.
    plot.getViewBox().updateAutoRange()
    lowest, highest = plot.viewRange()[1]
    assert lowest == 0
    assert top <= highest < 2 * top, "with room above the bars"


def test_tab_passes_a_chart_by(plot: Any, qtbot: Any) -> None:
    window = plot.window()
    first, last = QPushButton("first"), QPushButton("last")
    window.layout().insertWidget(0, first)
    window.layout().addWidget(last)
    for before, after in ((first, plot), (plot, last)):
        QWidget.setTabOrder(before, after)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=5000)
    first.setFocus()
    qtbot.keyClick(first, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is last
