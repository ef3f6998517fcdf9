"""Points of a training's curves, collected from its events."""

from __future__ import annotations

from muse_core.jobs import Event, LossMeasured, MetricsMeasured

LOSS, FOUND, CLASSES = "loss", "f_det", "f_avg"
"""Curves: the loss, F1 of nuclei found, and mean F1 of classes."""


class TrainingCurves:
    """Curves that grow while a job runs."""

    def __init__(self) -> None:
        self._points: dict[str, list[tuple[float, float]]] = {}
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._points = {name: [] for name in (LOSS, FOUND, CLASSES)}

    def add(self, event: Event) -> None:
        """Take any event of the job."""
        if isinstance(event, LossMeasured):
            self._points[LOSS].append((event.step, event.loss))
        elif isinstance(event, MetricsMeasured):
            for name in (FOUND, CLASSES):
                if event.figures.get(name) is not None:
                    self._points[name].append((event.figures["step"], event.figures[name]))

    def xy(self, name: str) -> tuple[list[float], list[float]]:
        """Steps and values of a curve."""
        points = self._points[name]
        return [step for step, _ in points], [value for _, value in points]
