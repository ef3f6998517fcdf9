"""F1 of detection and classification on annotated images.

Protocol: a detection is right within 3 um of an annotated nucleus, one to one; F1 is pooled over
the images, per class and for detection regardless of class; F avg is the mean over classes. A class
that is neither annotated nor found has no F1 and does not count.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.data.points_folder import AnnotatedImage, class_names_in, read_points_folder
from muse_core.detect import DetectConfig, detect_image
from muse_core.evaluate.figures import DetectionFigures
from muse_core.evaluate.matching import (
    MATCH_RADIUS_UM,
    Counts,
    count_matches,
    match_points,
)
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme
from muse_core.progress import OnProgress


@dataclass(frozen=True)
class ImageScore:
    """Counts of one image.

    Attributes:
        detection: Counts regardless of class.
        classes: Counts of each class, or None when the classes are not comparable.
        confusion: (K, K) int64 of the nuclei matched regardless of class, true class by found
            class; or None.
    """

    detection: Counts
    classes: dict[str, Counts] | None
    confusion: npt.NDArray[np.int64] | None


@dataclass(frozen=True)
class DetectionReport:
    """Figures of one model on one set of images.

    Attributes:
        images: Counts of each image.
        class_names: The model's classes, or None when the images have others.
        other_classes: Classes of the images that are not the model's.
    """

    images: tuple[ImageScore, ...]
    class_names: tuple[str, ...] | None
    other_classes: tuple[str, ...] = ()

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def detection(self) -> Counts:
        """Counts regardless of class, pooled."""
        return sum((image.detection for image in self.images), Counts())

    @property
    def classes(self) -> dict[str, Counts] | None:
        """Counts of each class, pooled, or None."""
        if self.class_names is None:
            return None
        return {
            name: sum((image.classes[name] for image in self.images if image.classes), Counts())
            for name in self.class_names
        }

    @property
    def confusion(self) -> npt.NDArray[np.int64] | None:
        """(K, K) true class by found class of the matched nuclei, pooled, or None."""
        parts = [image.confusion for image in self.images if image.confusion is not None]
        if self.class_names is None or len(parts) < len(self.images):
            return None
        empty = np.zeros((len(self.class_names), len(self.class_names)), dtype=np.int64)
        result: npt.NDArray[np.int64] | None = np.sum([empty, *parts], axis=0)
        return result

    @property
    def f_det(self) -> float:
        """F1 of detection."""
        return self.detection.f1

    @property
    def f_class(self) -> dict[str, float | None] | None:
        """F1 of each class; None of one that is neither annotated nor found."""
        classes = self.classes
        if classes is None:
            return None
        return {name: None if c.is_empty else c.f1 for name, c in classes.items()}

    @property
    def f_avg(self) -> float | None:
        """Mean of the F1 of the classes that have one."""
        values = [value for value in (self.f_class or {}).values() if value is not None]
        return float(np.mean(values)) if values else None

    def over(self, names: Collection[str]) -> DetectionReport:
        """Return the figures of some classes only, without the confusion, which has the others.

        Args:
            names: Classes to keep.
        """
        if self.class_names is None or set(self.class_names) <= set(names):
            return self
        kept = tuple(name for name in self.class_names if name in names)
        images = tuple(
            ImageScore(i.detection, {n: i.classes[n] for n in kept} if i.classes else None, None)
            for i in self.images
        )
        return DetectionReport(images, kept)

    def to_json(self) -> DetectionFigures:
        """Return the pooled figures."""
        return {
            "f_det": self.f_det,
            "f_avg": self.f_avg,
            "f_class": self.f_class,
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
    others = tuple(name for name in class_names_in(images) if name not in classes)
    names = None if others else tuple(classes)
    scores = [_score(i, table, names) for i, table in zip(images, tables, strict=True)]
    return DetectionReport(tuple(scores), names, others)


def _score(
    image: AnnotatedImage, table: pd.DataFrame, class_names: tuple[str, ...] | None
) -> ImageScore:
    radius_px = MATCH_RADIUS_UM / image.mpp
    found, true = table[["x", "y"]].to_numpy(), image.xy
    pairs = match_points(found, true, radius_px)
    detection = Counts(len(pairs), len(found) - len(pairs), len(true) - len(pairs))
    if class_names is None:
        return ImageScore(detection, None, None)
    found_class, true_class = table["class_name"].to_numpy(), np.array(image.class_names)
    counts = {
        name: count_matches(found[found_class == name], true[true_class == name], radius_px)
        for name in class_names
    }
    index = {name: i for i, name in enumerate(class_names)}
    confusion = np.zeros((len(index), len(index)), dtype=np.int64)
    for i, j in pairs:
        confusion[index[true_class[j]], index[found_class[i]]] += 1
    return ImageScore(detection, counts, confusion)


def detect_images(
    model: MuseModel,
    images: Sequence[AnnotatedImage],
    config: DetectConfig,
    on_progress: OnProgress | None = None,
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
    on_progress: OnProgress | None = None,
    force_mpp: bool = False,
) -> DetectionReport:
    """Evaluate a model file on a points-folder.

    Args:
        folder: Points-folder.
        mpp: Microns per pixel of its images that do not state it themselves.
        model_path: Model file.
        device: auto, cpu, cuda or mps.
        on_progress: Called with (done, total, image name).
        force_mpp: Whether mpp counts also where an image states another scale.

    Raises:
        UserError: The folder or the model cannot be read.
    """
    images = read_points_folder(folder, mpp, force_mpp=force_mpp)
    model = load_model(model_path)
    tables = detect_images(model, images, DetectConfig(device=device), on_progress)
    return score_tables(images, tables, ClassScheme.from_json(model.card.classes).names)
