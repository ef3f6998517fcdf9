"""Choose a model's score threshold: the one with the best mean of F det and F avg."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import cast

import pandas as pd

from muse_core.data.points_folder import AnnotatedImage
from muse_core.evaluate.detection import DetectionReport, score_tables
from muse_core.finetune.result import ValidationFigures

LOWEST_SCORE = 0.2
AS_GOOD = 0.02
"""Difference in quality below which thresholds count as equal: the noise on 150 nuclei."""
_CANDIDATES = tuple(round(LOWEST_SCORE + 0.025 * k, 4) for k in range(21))


@dataclass(frozen=True)
class OperatingPoint:
    """A score threshold, 0 to 1, and the figures it gives."""

    threshold: float
    report: DetectionReport

    @property
    def figures(self) -> ValidationFigures:
        """Figures at the threshold."""
        quality = round(self.quality, 5)
        own = {"quality": quality, "threshold": self.threshold}
        return cast(ValidationFigures, {**self.report.to_json(), **own})

    @property
    def quality(self) -> float:
        """Objective of the choice: the mean of F det and, where there is one, F avg."""
        f_avg = self.report.f_avg
        return self.report.f_det if f_avg is None else (self.report.f_det + f_avg) / 2


def best_threshold(
    images: Sequence[AnnotatedImage],
    tables: Sequence[pd.DataFrame],
    classes: Sequence[str],
    only: Collection[str] | None = None,
    near: float | None = None,
) -> OperatingPoint:
    """Pick the threshold on detections made at :data:`LOWEST_SCORE`.

    Args:
        images: Annotated images.
        tables: NucleusTable of each.
        classes: All class names in the tables.
        only: Classes that count for F avg; None is all.
        near: Of the thresholds that are nearly as good as the best, the one nearest to this is
            taken, because on few images the best one is a matter of chance.
    """
    tried = []
    for t in _CANDIDATES:
        report = score_tables(images, [d[d["score"] >= t] for d in tables], classes)
        tried.append(OperatingPoint(t, report if only is None else report.over(only)))
    best = max(tried, key=lambda operating: operating.quality)
    if near is None:
        return best
    as_good = [o for o in tried if o.quality >= best.quality - AS_GOOD]
    return min(as_good, key=lambda operating: abs(operating.threshold - near))
