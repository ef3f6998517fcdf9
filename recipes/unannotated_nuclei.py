"""Label sets in which unannotated nuclei are ignored where an ensemble is confident of them.

Annotators overlook nuclei, and a network that finds one is then taught that it is background. Where
all models of an ensemble find a nucleus in every flip of a tile and nobody annotated one nearby,
the place is marked as doubtful: it counts neither as a nucleus nor as background.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from label_sets import CLASSES, MPP
from taught_classes import AGREED_PX, distance_to_nearest, teach, with_own_points

from muse_core.array_types import FloatArray
from muse_core.data.points_folder import AnnotatedImage, read_points_folder
from muse_core.evaluate.matching import MATCH_RADIUS_UM
from muse_core.finetune import LabelSet
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel

SURE_SCORE = 0.7
DOUBTFUL = "unannotated"


def without_doubtful_background(
    sets: Sequence[LabelSet], ensemble: Sequence[Path], work: Path
) -> tuple[LabelSet, ...]:
    """Return the sets; in exhaustive ones, nuclei found only by the ensemble are marked.

    Args:
        sets: Points-folders at the model's scale.
        ensemble: Models that must not have seen more images than the student may.
        work: Folder for the points; existing ones are kept.
    """
    models = [load_model(path).eval() for path in ensemble]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in ensemble)).hexdigest()[:12]
    return tuple(_marked(s, models, work / digest) if _may_lack_nuclei(s) else s for s in sets)


def _may_lack_nuclei(labels: LabelSet) -> bool:
    """Whether a set declares that all its nuclei are annotated, and has some."""
    return labels.exhaustive and labels.class_map != {}


def _marked(labels: LabelSet, models: Sequence[MuseModel], work: Path) -> LabelSet:
    folder = with_own_points(labels, work)
    for image in read_points_folder(labels.folder, MPP, labels.names):
        points = folder / "points" / f"{image.name}.csv"
        if not points.is_file():
            _with_marks(image, _only_seen_by(models, image)).to_csv(
                points, index=False, float_format="%.2f"
            )
    class_map = labels.class_map or {name: (name,) for name in CLASSES}
    return replace(labels, folder=folder, class_map={**class_map, DOUBTFUL: ()})


def _only_seen_by(models: Sequence[MuseModel], image: AnnotatedImage) -> FloatArray:
    """(n, 2) pixels of nuclei that all models find in all flips and nobody annotated."""
    first, *others = (teach(model, image, SURE_SCORE).xy for model in models)
    annotated = np.asarray(image.xy, dtype=np.float64).reshape(-1, 2)
    agreed = distance_to_nearest(first, annotated) > MATCH_RADIUS_UM / MPP
    for other in others:
        agreed &= distance_to_nearest(first, other) < AGREED_PX
    return first[agreed]


def _with_marks(image: AnnotatedImage, marks: FloatArray) -> pd.DataFrame:
    xy = np.concatenate([np.asarray(image.xy, dtype=np.float64).reshape(-1, 2), marks])
    names = [*image.class_names, *[DOUBTFUL] * len(marks)]
    return pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "class": names})
