"""Confidence intervals of figures, on many images or on a few."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from muse_core.evaluate.bootstrap import (
    DRAWS,
    detailed_figures,
    f1_of_rows,
    interval_95,
    mean_over_classes,
)
from muse_core.evaluate.detection import DetectionReport
from muse_core.evaluate.figures import FiguresWithIntervals, IntervalFigures
from muse_core.evaluate.matching import Counts

_ENOUGH_IMAGES = 5
"""Least number of images to resample; fewer do not show how images differ."""


def figures_with_intervals(report: DetectionReport, seed: int = 0) -> FiguresWithIntervals:
    """A report's figures with 95% intervals by bootstrap.

    Images, or the fields of a slide, are resampled if there are enough. With fewer, nuclei are
    resampled: true positives, false positives and false negatives. Because nuclei of one image are
    not independent, these intervals are too narrow; they account only for the number of nuclei.

    Returns:
        As :func:`muse_core.evaluate.bootstrap.detailed_figures`, and what was resampled.
    """
    figures = detailed_figures(report, seed)
    if report.n_images >= _ENOUGH_IMAGES:
        return {**figures, "interval_over": "images"}
    rng = np.random.default_rng(seed)
    classes = {name: _draws(counts, rng) for name, counts in (report.classes or {}).items()}
    over_nuclei: IntervalFigures = {
        "f_det": interval_95(_draws(report.detection, rng)),
        "f_avg": interval_95(mean_over_classes(list(classes.values()))) if classes else None,
        "f_class": {name: interval_95(draws) for name, draws in classes.items()} or None,
    }
    figures["interval_95"] = over_nuclei
    return {**figures, "interval_over": "nuclei"}


def _draws(counts: Counts, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(draws,) F1 of as many nuclei, drawn with replacement; NaN where there is none."""
    outcomes = np.array([counts.true_positive, counts.false_positive, counts.false_negative])
    total = int(outcomes.sum())
    if total == 0:
        return np.full(DRAWS, np.nan)
    return f1_of_rows(rng.multinomial(total, outcomes / total, size=DRAWS))
