"""Curves of a training: loss above, F1 on the holdout fields below."""

from __future__ import annotations

from typing import Any

import pyqtgraph
from qtpy.QtWidgets import QWidget

from napari_muse.jobs.training_curves import CLASSES, FOUND, LOSS, TrainingCurves
from napari_muse.panels import forms
from napari_muse.panels.charts import chart, set_heading

_HEIGHT_PX = 105
_LOSS_COLOR, _DET_COLOR, _AVG_COLOR = "#e69f00", "#56b4e9", "#009e73"
_WIDTH_PX = 2
_HEADING_PT = 8
_F1 = "F1 on holdout fields"


class CurvePlots(QWidget):
    """Two small plots; :meth:`draw` shows what has come in."""

    def __init__(self, curves: TrainingCurves) -> None:
        super().__init__()
        self._curves = curves
        self.loss_plot, self.f1_plot = chart("Loss", _HEIGHT_PX), chart(_F1, _HEIGHT_PX)
        # Curves are named in the heading: in a plot this low a legend would lie on them.
        names = f"{_colored('found', _DET_COLOR)}, {_colored('classes', _AVG_COLOR)}"
        self._headings = (self.loss_plot, "Loss"), (self.f1_plot, f"{_F1}: {names}")
        self.lines = {
            LOSS: _line(self.loss_plot, _LOSS_COLOR),
            FOUND: _line(self.f1_plot, _DET_COLOR, symbols=True),
            CLASSES: _line(self.f1_plot, _AVG_COLOR, symbols=True),
        }
        forms.column(self, self.loss_plot, self.f1_plot).setContentsMargins(0, 0, 0, 0)

    def begin(self) -> None:
        """Clear the plots for a new training, in the colours of the theme."""
        for plot, heading in self._headings:
            set_heading(plot, heading, _HEADING_PT)
        self.draw()

    def draw(self) -> None:
        """Show the curves as they are now."""
        for name, line in self.lines.items():
            line.setData(*self._curves.xy(name))


def _colored(text: str, color: str) -> str:
    return f'<span style="color: {color}"><b>{text}</b></span>'


def _line(plot: Any, color: str, symbols: bool = False) -> Any:
    pen = pyqtgraph.mkPen(color, width=_WIDTH_PX)
    symbol = {"symbol": "o", "symbolSize": 4, "symbolBrush": color} if symbols else {}
    return plot.plot([], [], pen=pen, **symbol)
