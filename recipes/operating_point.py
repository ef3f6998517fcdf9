"""The score threshold of the bundled models, chosen on tiles of every set that were not trained on.

A threshold chosen on one set's tiles does not suit others: contrast, thickness and annotators'
habits differ. In left-out hospitals false positives increase more than false negatives, so among
thresholds of about the same F1 the highest is used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from label_sets import BREAST, MPP, SETS, Prepared

from muse_core.data.points_folder import AnnotatedImage, read_points_folder
from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import DetectionReport, detect_images, score_tables
from muse_core.finetune.holdout.threshold import LOWEST_SCORE
from muse_core.models.checkpoint import load_model, save_model
from muse_core.models.muse_model import MuseModel

CANDIDATES = tuple(float(t) for t in np.arange(LOWEST_SCORE, 0.701, 0.025).round(4))

ABOUT_AS_GOOD = 0.002


def reports_of(
    model: MuseModel, images: Sequence[AnnotatedImage], classes: Sequence[str]
) -> list[DetectionReport]:
    """Counts of a model's detections at each of CANDIDATES."""
    tables = detect_images(model, images, DetectConfig(min_score=LOWEST_SCORE))
    kept = ([d[d["score"] >= t] for d in tables] for t in CANDIDATES)
    return [score_tables(images, found, classes) for found in kept]


def careful_choice(figures: Sequence[float]) -> int:
    """Return the index of the highest of CANDIDATES whose figure is about as good as the best."""
    least = max(figures) - ABOUT_AS_GOOD
    return max(i for i, figure in enumerate(figures) if figure >= least)


def best_threshold_over(
    model: MuseModel, prepared: Prepared, names: Collection[str]
) -> tuple[float, dict[str, float]]:
    """The highest threshold whose mean F det over sets is about the best.

    Sets that are not fully annotated cannot show false positives, and are left out.

    Args:
        model: The model.
        prepared: The sets, each with tiles for choosing the threshold.
        names: Names of the sets to use.

    Returns:
        The threshold, and F det of each set there.
    """
    chosen_on = [name for name in names if SETS[name].exhaustive]
    figures = []
    for name in chosen_on:
        if name == BREAST:
            images = read_points_folder(prepared.breast_val, MPP)
        else:
            names_of_tiles = prepared.split(name).threshold
            images = read_points_folder(prepared.folder(name), MPP, names_of_tiles)
        figures.append([report.f_det for report in reports_of(model, images, ())])
    best = careful_choice(np.mean(figures, axis=0).tolist())
    of_sets = {n: round(f[best], 4) for n, f in zip(chosen_on, figures, strict=True)}
    return CANDIDATES[best], of_sets


def set_threshold(model_path: Path, prepared: Prepared) -> None:
    """Rewrite a model with the best threshold over all sets in its card."""
    model = load_model(model_path)
    threshold, of_sets = best_threshold_over(model, prepared, tuple(SETS))
    metrics = model.card.metrics | {"threshold_chosen_on": of_sets}
    model.card = dataclasses.replace(model.card, score_threshold=threshold, metrics=metrics)
    save_model(model, model_path)
