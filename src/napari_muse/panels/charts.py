"""Small charts in the colours of the window's theme, which the mouse does not move."""

from __future__ import annotations

from typing import Any

import pyqtgraph


def chart(tooltip: str, height_px: int) -> Any:
    """Return an empty plot."""
    plot = pyqtgraph.PlotWidget()
    plot.setToolTip(tooltip)
    plot.setFixedHeight(height_px)
    plot.setMouseEnabled(x=False, y=False)
    plot.hideButtons()
    plot.setMenuEnabled(False)
    return plot


def set_heading(plot: Any, heading: str, size_pt: int) -> None:
    """Give a plot a heading, and it and its axes the colours of the theme as it is now."""
    palette = plot.parentWidget().palette()
    text = palette.windowText().color()
    plot.setBackground(palette.window().color())
    plot.setTitle(heading, color=text, size=f"{size_pt}pt")
    for side in ("left", "bottom"):
        plot.getAxis(side).setPen(text)
        plot.getAxis(side).setTextPen(text)
