"""Small charts in the colours of the window's theme, which the mouse does not move."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import pyqtgraph
from qtpy.QtGui import QColor

from muse_core.array_types import IntArray
from muse_core.nuclei import NucleusClass

_BAR_WIDTH = 0.6
_LONGEST_NAME = 14


def chart(tooltip: str, height_px: int) -> Any:
    """Return an empty plot."""
    # Without a context menu, which takes a third of the time to build.
    plot = pyqtgraph.PlotWidget(enableMenu=False)
    plot.setToolTip(tooltip)
    plot.setFixedHeight(height_px)
    plot.setMouseEnabled(x=False, y=False)
    plot.hideButtons()
    return plot


def set_heading(plot: Any, heading: str, size_pt: int = 9) -> None:
    """Give a plot a heading in HTML, and it and its axes the colours of the theme as it is now."""
    palette = plot.parentWidget().palette()
    text = palette.windowText().color()
    plot.setBackground(palette.window().color())
    plot.setTitle(heading, color=text, size=f"{size_pt}pt")
    for side in ("left", "bottom"):
        plot.getAxis(side).setPen(text)
        plot.getAxis(side).setTextPen(text)


def show_counts(plot: Any, heading: str, classes: Sequence[NucleusClass], counts: IntArray) -> None:
    """Show the number of nuclei of each class as bars."""
    plot.clear()
    set_heading(plot, html.escape(heading))
    brushes = [QColor(entry.color) for entry in classes]
    places = range(len(classes))
    plot.addItem(
        pyqtgraph.BarGraphItem(x=[*places], height=counts, width=_BAR_WIDTH, brushes=brushes)
    )
    names = [entry.name[:_LONGEST_NAME] for entry in classes]
    plot.getAxis("bottom").setTicks([[*zip(places, names, strict=True)]])
