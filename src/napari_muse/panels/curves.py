"""Curves of a training: loss above, F1 on the holdout fields below."""

from __future__ import annotations

from typing import Any

import pyqtgraph
from qtpy.QtWidgets import QWidget

from muse_core.jobs import Event, LossMeasured, MetricsMeasured
from napari_muse.panels import forms
from napari_muse.panels.charts import chart, set_heading

_HEIGHT_PX = 105
_LOSS_COLOR, _DET_COLOR, _AVG_COLOR = "#e69f00", "#56b4e9", "#009e73"
_WIDTH_PX = 2
_HEADING_PT = 8
_F1 = "F1 on holdout fields"


class CurvePlots(QWidget):
    """Two small plots that grow while a job runs."""

    def __init__(self) -> None:
        super().__init__()
        self.loss_plot, self.f1_plot = chart("Loss", _HEIGHT_PX), chart(_F1, _HEIGHT_PX)
        # Curves are named in the heading: in a plot this low a legend would lie on them.
        names = f"{_colored('found', _DET_COLOR)}, {_colored('classes', _AVG_COLOR)}"
        self._headings = (self.loss_plot, "Loss"), (self.f1_plot, f"{_F1}: {names}")
        self._curves = {
            "loss": _curve(self.loss_plot, _LOSS_COLOR),
            "f_det": _curve(self.f1_plot, _DET_COLOR, symbols=True),
            "f_avg": _curve(self.f1_plot, _AVG_COLOR, symbols=True),
        }
        self._points: dict[str, list[tuple[float, float]]] = {name: [] for name in self._curves}
        forms.column(self, self.loss_plot, self.f1_plot).setContentsMargins(0, 0, 0, 0)

    def clear(self) -> None:
        """Begin anew, in the colours of the theme."""
        for points in self._points.values():
            points.clear()
        for plot, heading in self._headings:
            set_heading(plot, heading, _HEADING_PT)
        self.draw()

    def add(self, event: Event) -> None:
        """Take any event of the job; :meth:`draw` shows it."""
        if isinstance(event, LossMeasured):
            self._points["loss"].append((event.step, event.loss))
        elif isinstance(event, MetricsMeasured):
            for name in ("f_det", "f_avg"):
                if event.figures.get(name) is not None:
                    self._points[name].append((event.figures["step"], event.figures[name]))

    @property
    def n_points(self) -> tuple[int, int]:
        """Numbers of points of the curves of loss and of F1."""
        n = {name: len(points) for name, points in self._points.items()}
        return n["loss"], max(n["f_det"], n["f_avg"])

    def draw(self) -> None:
        """Show all that has come in."""
        for name, curve in self._curves.items():
            x, y = zip(*self._points[name], strict=True) if self._points[name] else ((), ())
            curve.setData(x, y)


def _colored(text: str, color: str) -> str:
    return f'<span style="color: {color}"><b>{text}</b></span>'


def _curve(plot: Any, color: str, symbols: bool = False) -> Any:
    pen = pyqtgraph.mkPen(color, width=_WIDTH_PX)
    symbol = {"symbol": "o", "symbolSize": 4, "symbolBrush": color} if symbols else {}
    return plot.plot([], [], pen=pen, **symbol)
