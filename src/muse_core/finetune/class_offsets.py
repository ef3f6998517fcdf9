"""Offsets on a model's class scores: where F avg is best on validation images.

The most likely class is the best answer for accuracy. For F1 it is not: the better the classes are
told apart, the higher is the probability from which calling one pays; of a class that is seldom
sure, such as stroma in patients not trained on, too few are called. Source: Lipton, Elkan and
Naryanaswamy, "Optimal Thresholding of Classifiers to Maximize F1 Measure", ECML PKDD 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from muse_core.detect import DetectConfig
from muse_core.detect.resize import to_model_scale
from muse_core.evaluate.detection import detect_images, score_tables
from muse_core.evaluate.points_folder import AnnotatedImage, class_names_in
from muse_core.models.muse_model import MuseModel
from muse_core.models.point_features import features_at_points, image_batch
from muse_core.nuclei import ClassScheme

LARGEST_OFFSET = 1.5
"""Beyond it a class is called at odds of 1 to 4, and what is gained is hardly to be relied on."""
WORTH_MOVING = 0.002
"""Gains of F avg below this are taken for chance."""
_STEP = 0.25
_MOST_SWEEPS = 5
_CANDIDATES = sorted(np.arange(-LARGEST_OFFSET, LARGEST_OFFSET + _STEP / 2, _STEP), key=abs)

Logits = npt.NDArray[np.float64]


def fit_class_offsets(model: MuseModel, images: Sequence[AnnotatedImage]) -> dict[str, float]:
    """Make the offsets that are best on some images part of a model's class head.

    Args:
        model: Changed in place; in evaluation mode afterwards.
        images: Annotated images that the model was not trained on. Where they hold classes that it
            lacks, it stays as it is.

    Returns:
        Offset of each class by its name.
    """
    classes = ClassScheme.from_json(model.card.classes).names
    if not set(class_names_in(images)) <= set(classes):
        return dict.fromkeys(classes, 0.0)
    device = next(model.parameters()).device.type
    tables = detect_images(model.eval(), images, DetectConfig(device=device))
    logits = class_logits(model, images, tables)
    offsets = best_class_offsets(images, tables, logits, classes)
    bias = model.class_head.out.bias
    with torch.no_grad():
        bias.add_(torch.from_numpy(offsets).to(bias))
    return dict(zip(classes, offsets.tolist(), strict=True))


@torch.inference_mode()
def class_logits(
    model: MuseModel, images: Sequence[AnnotatedImage], tables: Sequence[pd.DataFrame]
) -> list[Logits]:
    """What a model's class head says of detected nuclei.

    Args:
        model: In evaluation mode.
        images: Images.
        tables: A NucleusTable for each, pixels of the image.

    Returns:
        (n, K) for each image.
    """
    device = next(model.parameters()).device
    found = []
    for image, table in zip(images, tables, strict=True):
        rgb, scale_x, scale_y = to_model_scale(image.image, image.mpp, model.card.mpp)
        xy = table[["x", "y"]].to_numpy() / (scale_x, scale_y)
        points = [torch.from_numpy(xy).float()]
        (features,) = features_at_points(model.backbone, image_batch([rgb], device), points)
        found.append(model.class_head(features).double().cpu().numpy())
    return found


def best_class_offsets(
    images: Sequence[AnnotatedImage],
    tables: Sequence[pd.DataFrame],
    logits: Sequence[Logits],
    classes: Sequence[str],
) -> npt.NDArray[np.float64]:
    """Pick an offset for each class, one class after the other until none is worth moving.

    Args:
        images: Annotated images, of these classes.
        tables: What was detected in each.
        logits: (n, K) for each, class scores of what was detected.
        classes: K names.

    Returns:
        (K,) to be added to class scores, each at most :data:`LARGEST_OFFSET` from 0; of offsets
        that are equally good the smallest.
    """
    names = np.array(classes, dtype=object)

    def f_avg(offsets: npt.NDArray[np.float64]) -> float:
        called = [
            table.assign(class_name=names[(each + offsets).argmax(axis=1)])
            for table, each in zip(tables, logits, strict=True)
        ]
        return score_tables(images, called, classes).f_avg or 0.0

    offsets = np.zeros(len(names))
    best = f_avg(offsets)
    for _ in range(_MOST_SWEEPS):
        before = best
        for k in range(len(names)):
            tried = [np.where(np.arange(len(names)) == k, c, offsets) for c in _CANDIDATES]
            values = [f_avg(t) for t in tried]
            if max(values) >= best + WORTH_MOVING:
                best, offsets = max(values), tried[int(np.argmax(values))]
        if best == before:
            break
    return offsets
