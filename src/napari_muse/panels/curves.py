"""Curves of a training: loss above, F1 on the holdout fields below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyqtgraph
from qtpy.QtWidgets import QWidget

from muse_core.jobs import Event, LossMeasured, MetricsMeasured
from napari_muse.panels.charts import chart, set_heading
from napari_muse.panels.forms import column

_HEIGHT_PX = 105
_LOSS_COLOR, _DET_COLOR, _AVG_COLOR = "#e69f00", "#56b4e9", "#009e73"
_WIDTH_PX = 2
_HEADING_PT = 8
_F1 = "F1 on holdout fields"


class CurvePlots(QWidget):
    """Two small plots that grow while a job runs."""

    def __init__(self) -> None:
        super().__init__()
        self._loss: list[tuple[float, float]] = []
        self._f1: dict[str, list[tuple[float, float]]] = {"f_det": [], "f_avg": []}
        self.loss_plot = chart("Loss", _HEIGHT_PX)
        # Curves are named in the heading: in a plot this low a legend would lie on them.
        names = f"{_colored('found', _DET_COLOR)}, {_colored('classes', _AVG_COLOR)}"
        self.f1_plot = chart(_F1, _HEIGHT_PX)
        self._headings = (self.loss_plot, "Loss"), (self.f1_plot, f"{_F1}: {names}")
        self._loss_curve = _curve(self.loss_plot, _LOSS_COLOR)
        self._f1_curves = {
            "f_det": _curve(self.f1_plot, _DET_COLOR, symbols=True),
            "f_avg": _curve(self.f1_plot, _AVG_COLOR, symbols=True),
        }
        column(self, self.loss_plot, self.f1_plot).setContentsMargins(0, 0, 0, 0)

    def clear(self) -> None:
        """Begin anew, in the colours of the theme."""
        self._loss.clear()
        for points in self._f1.values():
            points.clear()
        for plot, heading in self._headings:
            set_heading(plot, heading, _HEADING_PT)
        self.draw()

    def add(self, event: Event) -> None:
        """Take any event of the job; :meth:`draw` shows it."""
        if isinstance(event, LossMeasured):
            self._loss.append((event.step, event.loss))
        elif isinstance(event, MetricsMeasured):
            for name, points in self._f1.items():
                if event.figures.get(name) is not None:
                    points.append((event.figures["step"], event.figures[name]))

    @property
    def n_points(self) -> tuple[int, int]:
        """Numbers of points of the curves of loss and of F1."""
        return len(self._loss), max(len(points) for points in self._f1.values())

    def draw(self) -> None:
        """Show all that has come in."""
        self._loss_curve.setData(*_columns(self._loss))
        for name, curve in self._f1_curves.items():
            curve.setData(*_columns(self._f1[name]))


def _colored(text: str, color: str) -> str:
    return f'<span style="color: {color}"><b>{text}</b></span>'


def _curve(plot: Any, color: str, symbols: bool = False) -> Any:
    pen = pyqtgraph.mkPen(color, width=_WIDTH_PX)
    symbol = {"symbol": "o", "symbolSize": 4, "symbolBrush": color} if symbols else {}
    return plot.plot([], [], pen=pen, **symbol)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
