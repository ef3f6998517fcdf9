"""95% intervals of figures, by bootstrap over images.

Images, not nuclei, are drawn with replacement, because nuclei of one image resemble each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from muse_core.evaluate.detection import DetectionReport
from muse_core.evaluate.figures import ClassFigures, DetailedFigures, Interval, IntervalFigures
from muse_core.evaluate.matching import Counts

DRAWS = 2000
_PERCENTILES = (2.5, 97.5)


def detailed_figures(report: DetectionReport, seed: int = 0) -> DetailedFigures:
    """A report's figures with precision and recall of each class, confusion and intervals.

    Args:
        report: From :func:`muse_core.evaluate.detection.score_tables`.
        seed: Of the bootstrap.

    Returns:
        The figures. Without comparable classes, what concerns them is None; so is the figure of a
        class that is neither annotated nor found, and an interval of no figure.
    """
    classes, confusion = report.classes, report.confusion
    return {
        **report.to_json(),
        "per_class": None if classes is None else {k: _facts(c) for k, c in classes.items()},
        "confusion": None
        if confusion is None
        else {"classes": list(report.class_names or ()), "counts": confusion.tolist()},
        "interval_95": _intervals(report, seed),
    }


def interval_95(values: npt.NDArray[np.float64]) -> Interval | None:
    """Low and high end of the middle 95% of bootstrapped values; NaN is no value, None no end."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, _PERCENTILES)
    return [float(low), float(high)]


def image_weights(n_images: int, seed: int, draws: int = DRAWS) -> npt.NDArray[np.int64]:
    """Return (draws, n_images) counts of each image in each draw; rows sum to ``n_images``."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_images, np.full(n_images, 1 / n_images), size=draws)


def _intervals(report: DetectionReport, seed: int) -> IntervalFigures:
    weights = image_weights(report.n_images, seed)
    f_det = f1_of_rows(weights @ _table([image.detection for image in report.images]))
    if report.class_names is None:
        return {"f_det": interval_95(f_det), "f_avg": None, "f_class": None}
    f_class = {
        name: f1_of_rows(weights @ _table([i.classes[name] for i in report.images if i.classes]))
        for name in report.class_names
    }
    return {
        "f_det": interval_95(f_det),
        "f_avg": interval_95(mean_over_classes(list(f_class.values()))) if f_class else None,
        "f_class": {name: interval_95(values) for name, values in f_class.items()},
    }


def _table(counts: Sequence[Counts]) -> npt.NDArray[np.int64]:
    return np.array([(c.true_positive, c.false_positive, c.false_negative) for c in counts])


def f1_of_rows(pooled: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """F1 of rows of (true positive, false positive, false negative); NaN where all are 0."""
    right = 2.0 * pooled[:, 0]
    total = right + pooled[:, 1] + pooled[:, 2]
    result: npt.NDArray[np.float64] = np.divide(
        right, total, out=np.full(len(pooled), np.nan), where=total > 0
    )
    return result


def mean_over_classes(values: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """(draws,) mean over the classes that a draw has, NaN where it has none."""
    table = np.array(values)
    there = np.isfinite(table)
    count = there.sum(axis=0)
    total = np.where(there, table, 0.0).sum(axis=0)
    result: npt.NDArray[np.float64] = np.divide(
        total, count, out=np.full(table.shape[1], np.nan), where=count > 0
    )
    return result


def _facts(counts: Counts) -> ClassFigures:
    return {
        "f1": None if counts.is_empty else counts.f1,
        "precision": counts.precision,
        "recall": counts.recall,
        "true_positive": counts.true_positive,
        "false_positive": counts.false_positive,
        "false_negative": counts.false_negative,
    }
