"""Small charts in the colours of the window's theme, which the mouse does not move."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import pyqtgraph
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QColor

from muse_core.array_types import IntArray
from muse_core.nuclei import NucleusClass

_BAR_WIDTH = 0.6
_LEAST_RANGE = 5
"""Nuclei up to which the axis goes at least, so that its numbers are whole."""
_AXIS_PX = 50
"""Beside the bars: the axis of counts, and gaps."""


class _Chart(pyqtgraph.PlotWidget):  # type: ignore[misc]
    """A plot that takes the colours of the theme, also when another one is chosen."""

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Leave the width of the dock to its controls, and the rest to the slide."""
        return QSize(self.minimumSizeHint().width(), super().sizeHint().height())

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Take the colours of a new theme."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange:
            self.take_colors()

    def take_colors(self) -> None:
        """Take the colours of the theme as it is now."""
        palette = self.parentWidget().palette()
        text = palette.windowText().color()
        self.setBackground(palette.window().color())
        heading = self.getPlotItem().titleLabel
        heading.setText(heading.text, color=text)
        for side in ("left", "bottom"):
            self.getAxis(side).setPen(text)
            self.getAxis(side).setTextPen(text)


def chart(tooltip: str, height_px: int) -> Any:
    """Return an empty plot."""
    # Without a context menu, which takes a third of the time to build.
    plot = _Chart(enableMenu=False)
    plot.setToolTip(tooltip)
    plot.setFixedHeight(height_px)
    plot.setMouseEnabled(x=False, y=False)
    plot.hideButtons()
    # Nothing in it can be done by keyboard.
    plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return plot


def set_heading(plot: Any, heading: str, size_pt: int = 9) -> None:
    """Give a plot a heading in HTML, and it and its axes the colours of the theme."""
    plot.setTitle(heading, size=f"{size_pt}pt")
    plot.take_colors()


def show_counts(plot: Any, heading: str, classes: Sequence[NucleusClass], counts: IntArray) -> None:
    """Show the number of nuclei of each class as bars."""
    plot.clear()
    set_heading(plot, html.escape(heading))
    brushes = [QColor(entry.color) for entry in classes]
    places = range(len(classes))
    plot.addItem(
        pyqtgraph.BarGraphItem(x=[*places], height=counts, width=_BAR_WIDTH, brushes=brushes)
    )
    # Else an axis from -0.5 to 0.5 nuclei is shown where there are none.
    plot.setLimits(yMin=0, minYRange=_LEAST_RANGE)
    width_px = max(plot.width() - _AXIS_PX, 0) // max(len(classes), 1)
    right, metrics = Qt.TextElideMode.ElideRight, plot.fontMetrics()
    names = [metrics.elidedText(entry.name, right, width_px) for entry in classes]
    plot.getAxis("bottom").setTicks([[*zip(places, names, strict=True)]])
