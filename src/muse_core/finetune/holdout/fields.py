"""Figures on holdout fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from muse_core.data.points_folder import AnnotatedImage, class_names_in
from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import DetectionReport, detect_images, score_tables
from muse_core.evaluate.matching import MATCH_RADIUS_UM, match_points
from muse_core.finetune.data.fields import Field
from muse_core.finetune.holdout.threshold import LOWEST_SCORE, OperatingPoint, best_threshold
from muse_core.models.muse_model import MuseModel


class HoldoutFields:
    """Fields to score detections on.

    Detections outside the known area, and those of nuclei on the field's border, are ignored.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = tuple(fields)
        self.images = [
            AnnotatedImage(f.key, f.image, f.xy, f.class_names, f.mpp) for f in self.fields
        ]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes that occur in the fields; there are no figures for the others."""
        return class_names_in(self.images)

    def best(
        self, tables: Sequence[pd.DataFrame], classes: Sequence[str], near: float
    ) -> OperatingPoint:
        """A good score threshold, and its figures for the classes that occur.

        Args:
            tables: Detections made at ``LOWEST_SCORE``, a NucleusTable for each field, its pixels.
            classes: All class names in the tables.
            near: Threshold to stay near to, see :func:`best_threshold`.
        """
        known = self._known(classes)
        return best_threshold(self.images, self._cleaned(tables), known, self.class_names, near)

    def at(
        self, threshold: float, tables: Sequence[pd.DataFrame], classes: Sequence[str]
    ) -> DetectionReport:
        """Figures at a threshold that was chosen elsewhere; see :meth:`best`."""
        kept = [table[table["score"] >= threshold] for table in self._cleaned(tables)]
        report = score_tables(self.images, kept, self._known(classes))
        return report.over(self.class_names)

    def detect(self, model: MuseModel) -> list[pd.DataFrame]:
        """NucleusTable of each field at ``LOWEST_SCORE``, pixels of the field."""
        device = next(model.parameters()).device.type
        return detect_images(
            model, self.images, DetectConfig(device=device, min_score=LOWEST_SCORE)
        )

    def _known(self, classes: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*classes, *self.class_names)))

    def _cleaned(self, tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
        return [_without_doubtful(f, t) for f, t in zip(self.fields, tables, strict=True)]


def renamed(tables: Sequence[pd.DataFrame], names: Mapping[str, str]) -> list[pd.DataFrame]:
    """Tables with classes under other names; those that ``names`` lacks keep theirs."""
    return [t.assign(class_name=[names.get(n, n) for n in t["class_name"]]) for t in tables]


def _without_doubtful(field: Field, table: pd.DataFrame) -> pd.DataFrame:
    """Drop detections of nuclei that do not count, and those outside what is known."""
    xy = table[["x", "y"]].to_numpy()
    everything = np.concatenate([field.xy, field.ignored_xy])
    pairs = match_points(xy, everything, MATCH_RADIUS_UM / field.mpp)
    height, width = field.known.shape
    columns = np.clip(xy[:, 0].astype(int), 0, width - 1)
    rows = np.clip(xy[:, 1].astype(int), 0, height - 1)
    kept = field.known[rows, columns]
    kept[pairs[:, 0]] = pairs[:, 1] < len(field.xy)
    return table[kept]
