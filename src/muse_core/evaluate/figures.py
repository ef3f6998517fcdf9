"""Figures as they are written to JSON: the keys of each report, and what they hold."""

from __future__ import annotations

from typing import Literal, TypedDict

Interval = list[float]
"""Low and high end."""


class DetectionFigures(TypedDict):
    """Figures of detection and classification; those of classes are None where none compare."""

    f_det: float
    f_avg: float | None
    f_class: dict[str, float | None] | None
    n_images: int
    precision_det: float
    recall_det: float
    radius_um: float


class ClassFigures(TypedDict):
    """Figures of one class; f1 is None where it is neither annotated nor found."""

    f1: float | None
    precision: float
    recall: float
    true_positive: int
    false_positive: int
    false_negative: int


class ConfusionFigures(TypedDict):
    """Counts by true class (rows) and found class (columns)."""

    classes: list[str]
    counts: list[list[int]]


class IntervalFigures(TypedDict):
    """95% intervals; None of what has no figure."""

    f_det: Interval | None
    f_avg: Interval | None
    f_class: dict[str, Interval | None] | None


class DetailedFigures(DetectionFigures):
    """Figures with those of each class, confusion and intervals."""

    per_class: dict[str, ClassFigures] | None
    confusion: ConfusionFigures | None
    interval_95: IntervalFigures


class FiguresWithIntervals(DetailedFigures):
    """Figures that say what their intervals were drawn over."""

    interval_over: Literal["images", "nuclei"]


class ProbeClassFigures(TypedDict):
    """Figures of one class at given centres."""

    f1: float
    recall: float
    n_test: int


class ProbeFigures(TypedDict):
    """Figures of classification at given centres."""

    accuracy: float
    interval_95: Interval
    balanced_accuracy: float
    per_class: dict[str, ProbeClassFigures]
    confusion: ConfusionFigures
    n_train: int
    n_test: int
    by_neighbours: dict[str, float]
