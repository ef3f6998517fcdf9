"""F1 of detection and classification on annotated images.

Protocol: a detection is right within 3 um of an annotated nucleus, one to one; F1 is pooled over
the images, per class and for detection regardless of class; F avg is the mean over classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from muse_core.detect import DetectConfig, detect_image
from muse_core.evaluate.matching import MATCH_RADIUS_UM, Counts, count_matches
from muse_core.evaluate.points_folder import AnnotatedImage, class_names_in, read_points_folder
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class DetectionReport:
    """Figures of one model on one set of images.

    Attributes:
        detection: Counts regardless of class.
        classes: Counts of each class, or None when the images have other classes than the model.
        n_images: Number of images.
    """

    detection: Counts
    classes: dict[str, Counts] | None
    n_images: int

    @property
    def f_det(self) -> float:
        """F1 of detection."""
        return self.detection.f1

    @property
    def f_avg(self) -> float | None:
        """Mean of the classes' F1."""
        if not self.classes:
            return None
        return float(np.mean([c.f1 for c in self.classes.values()]))

    def to_json(self) -> dict[str, Any]:
        """Keys f_det, f_avg, f_class, n_images, precision and recall of detection, radius_um."""
        per_class = None if self.classes is None else {k: c.f1 for k, c in self.classes.items()}
        return {
            "f_det": self.f_det,
            "f_avg": self.f_avg,
            "f_class": per_class,
            "n_images": self.n_images,
            "precision_det": self.detection.precision,
            "recall_det": self.detection.recall,
            "radius_um": MATCH_RADIUS_UM,
        }


def score_tables(
    images: Sequence[AnnotatedImage], tables: Sequence[pd.DataFrame], classes: Sequence[str]
) -> DetectionReport:
    """Score detections against annotations.

    Args:
        images: Annotated images.
        tables: A NucleusTable for each, pixels of the image.
        classes: The model's classes. Class figures are given only if the images hold no other.
    """
    detection = Counts()
    comparable = set(class_names_in(images)) <= set(classes)
    per_class = {name: Counts() for name in classes}
    for image, table in zip(images, tables, strict=True):
        radius_px = MATCH_RADIUS_UM / image.mpp
        found, true = table[["x", "y"]].to_numpy(), image.xy
        detection += count_matches(found, true, radius_px)
        found_class, true_class = table["class_name"].to_numpy(), np.array(image.class_names)
        for name in classes if comparable else ():
            per_class[name] += count_matches(
                found[found_class == name], true[true_class == name], radius_px
            )
    return DetectionReport(detection, per_class if comparable else None, len(images))


def detect_images(
    model: MuseModel,
    images: Sequence[AnnotatedImage],
    config: DetectConfig,
    on_progress: Progress | None = None,
) -> list[pd.DataFrame]:
    """Detect nuclei in each image; one NucleusTable each, pixels of the image."""
    tables = []
    for i, image in enumerate(images):
        tables.append(detect_image(model, image.image, image.mpp, config))
        if on_progress:
            on_progress(i + 1, len(images), image.name)
    return tables


def evaluate_folder(
    folder: str | Path,
    mpp: float,
    model_path: str | Path,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> DetectionReport:
    """Evaluate a model file on a points-folder.

    Args:
        folder: Points-folder.
        mpp: Microns per pixel of its images.
        model_path: Model file.
        device: auto, cpu, cuda or mps.
        on_progress: Called with (done, total, image name).

    Raises:
        UserError: The folder or the model cannot be read.
    """
    images = read_points_folder(folder, mpp)
    model = load_model(model_path)
    tables = detect_images(model, images, DetectConfig(device=device), on_progress)
    return score_tables(images, tables, ClassScheme.from_json(model.card.classes).names)
