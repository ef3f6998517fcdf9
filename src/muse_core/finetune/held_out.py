"""Figures on fields that were held back from training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import detect_images
from muse_core.evaluate.matching import MATCH_RADIUS_UM, match_points
from muse_core.evaluate.points_folder import AnnotatedImage, class_names_in
from muse_core.finetune.fields import Field
from muse_core.finetune.intervals import figures_with_intervals
from muse_core.finetune.threshold import LOWEST_SCORE, Operating, best_threshold
from muse_core.models.card import ModelCard
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme


class HeldOutFields:
    """Fields to score detections on.

    Detections outside the known part, and those of nuclei that the field's border cuts, count
    neither for nor against a model.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = tuple(fields)
        self.images = [
            AnnotatedImage(f.key, f.image, f.xy, f.class_names, f.mpp) for f in self.fields
        ]

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes that occur; of others nothing can be said."""
        return class_names_in(self.images)

    def best(
        self, tables: Sequence[pd.DataFrame], classes: Sequence[str], near: float
    ) -> Operating:
        """A good score threshold, and its figures for the classes that occur.

        Args:
            tables: Detections made at ``LOWEST_SCORE``, a NucleusTable for each field, its pixels.
            classes: All class names in the tables.
            near: Threshold to stay near to, see :func:`best_threshold`.
        """
        known = tuple(dict.fromkeys((*classes, *self.class_names)))
        return best_threshold(self.images, self._cleaned(tables), known, self.class_names, near)

    def detect(self, model: MuseModel) -> list[pd.DataFrame]:
        """NucleusTable of each field at ``LOWEST_SCORE``, pixels of the field."""
        device = next(model.parameters()).device.type
        return detect_images(
            model, self.images, DetectConfig(device=device, min_score=LOWEST_SCORE)
        )

    def figures_of(self, model: MuseModel, names: Mapping[str, str]) -> dict[str, Any]:
        """Figures of a model with intervals; see :meth:`figures`."""
        return self.figures(model.card, self.detect(model), names)

    def figures(
        self, card: ModelCard, tables: Sequence[pd.DataFrame], names: Mapping[str, str]
    ) -> dict[str, Any]:
        """Figures with intervals, at a good threshold: the same favour before and after.

        Args:
            card: Of the model that detected.
            tables: What it detected at ``LOWEST_SCORE``.
            names: Class of the model to class of the fields, where both mean the same.
        """
        own = ClassScheme.from_json(card.classes).names
        known = tuple(names.get(n, n) for n in own)
        chosen = self.best(renamed(tables, names), known, card.score_threshold)
        return figures_with_intervals(chosen.report) | {"threshold": chosen.threshold}

    def _cleaned(self, tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
        return [_without_doubtful(f, t) for f, t in zip(self.fields, tables, strict=True)]


def for_curves(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What a curve needs of detailed figures."""
    return {k: figures[k] for k in ("f_det", "f_avg", "f_class", "threshold")}


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
