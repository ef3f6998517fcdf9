"""Label sets whose ambiguous classes a teacher has resolved, for training a smaller model.

A "background_cell" may be a lymphocyte or stromal, a "nucleus" anything. Where the teacher is
confident, its class replaces the ambiguous annotation; elsewhere the annotation is kept. In sets
that are not exhaustive, nuclei are added that the teacher finds in every flip of a tile and that
nobody annotated. Source: Xie et al., "Self-training with noisy student", CVPR 2020.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from label_sets import CLASSES, MPP
from scipy.spatial import KDTree

from muse_core.array_types import FloatArray
from muse_core.data.class_map import ANY, allows
from muse_core.data.points_folder import AnnotatedImage, read_points_folder
from muse_core.finetune import LabelSet
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel
from muse_core.models.point_features import image_batch

SURE = 0.65
"""Probability from which the teacher's class is used."""
FOUND_SCORE = 0.6
ALONE_PX, AGREED_PX = 8.0, 4.0
"""Minimum distance of an added nucleus from annotations; maximum from its match in other flips."""
_FLIPS = ((), (-1,), (-2,), (-1, -2))
_TAUGHT = {f"taught {name}": (name,) for name in CLASSES} | {"taught nucleus": (ANY,)}


@dataclass(frozen=True)
class Teaching:
    """A teacher's output for an image, averaged over its flips.

    Attributes:
        told: (n, K) probability of each class at the annotated nuclei.
        xy: (m, 2) pixels of nuclei that are found in every flip.
        class_probs: (m, K) of these.
    """

    told: FloatArray
    xy: FloatArray
    class_probs: FloatArray


def taught_sets(sets: Sequence[LabelSet], teacher: Path, work: Path) -> tuple[LabelSet, ...]:
    """Return the sets, with ambiguous classes resolved by the teacher.

    Args:
        sets: Points-folders at the model's scale.
        teacher: A model of CLASSES that must not have seen more images than the student may.
        work: Folder for the points; existing ones are kept.
    """
    model = load_model(teacher).eval()
    digest = hashlib.sha256(teacher.read_bytes()).hexdigest()[:12]
    return tuple(
        _taught(s, model, work / digest) if s.class_map and _is_open(s) else s for s in sets
    )


def _is_open(labels: LabelSet) -> bool:
    classes = (labels.class_map or {}).values()
    return not labels.exhaustive or any(sum(allows(of, CLASSES)) > 1 for of in classes)


def _taught(labels: LabelSet, model: MuseModel, work: Path) -> LabelSet:
    class_map = dict(labels.class_map or {})
    folder = with_own_points(labels, work)
    for image in read_points_folder(labels.folder, MPP, labels.names):
        points = folder / "points" / f"{image.name}.csv"
        if not points.is_file():
            _told(image, teach(model, image, FOUND_SCORE), class_map, not labels.exhaustive).to_csv(
                points, index=False, float_format="%.2f"
            )
    return replace(labels, folder=folder, class_map=class_map | _TAUGHT)


def with_own_points(labels: LabelSet, work: Path) -> Path:
    """Return a points-folder in work with a set's images, for new points."""
    folder = work / labels.folder.name
    (folder / "points").mkdir(parents=True, exist_ok=True)
    if not (folder / "images").exists():
        (folder / "images").symlink_to((labels.folder / "images").resolve())
    return folder


def _told(
    image: AnnotatedImage,
    teaching: Teaching,
    class_map: Mapping[str, tuple[str, ...]],
    adds: bool,
) -> pd.DataFrame:
    """The points of an image: the annotated ones, and those that a teacher adds."""
    names = [
        _name(probs * allows(class_map[name], CLASSES), name)
        for probs, name in zip(teaching.told, image.class_names, strict=True)
    ]
    xy = np.asarray(image.xy, dtype=np.float64).reshape(-1, 2)
    if adds:
        alone = distance_to_nearest(teaching.xy, xy) >= ALONE_PX
        names += [_name(probs, "taught nucleus") for probs in teaching.class_probs[alone]]
        xy = np.concatenate([xy, teaching.xy[alone]])
    return pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "class": names})


def _name(probs: FloatArray, otherwise: str) -> str:
    """The teacher's class if it is confident, otherwise the annotated one.

    Args:
        probs: (K,), 0 for the classes that are ruled out.
        otherwise: Name if the teacher is not confident, or the class is not ambiguous.
    """
    sure = probs / probs.sum()
    best = int(sure.argmax())
    is_open = np.count_nonzero(probs) > 1
    return f"taught {CLASSES[best]}" if is_open and sure[best] >= SURE else otherwise


@torch.inference_mode()
def teach(model: MuseModel, image: AnnotatedImage, found_score: float) -> Teaching:
    """Return a model's output for an image and its flips.

    Args:
        model: The teacher.
        image: The image, with the nuclei whose classes are predicted.
        found_score: Minimum score of a nucleus in every flip.
    """
    one = image_batch([image.image], torch.device("cpu"))
    size = (one.shape[-2], one.shape[-1])
    batch = torch.cat([one.flip(axes) for axes in _FLIPS])
    with torch.autocast("cpu", torch.bfloat16):
        f_map, proposals = model(batch.contiguous(memory_format=torch.channels_last))
    f_map = f_map.float()
    places = np.stack([_flipped(image.xy, axes, size) for axes in _FLIPS])
    sampled = model.backbone.sample(f_map, torch.from_numpy(np.float32(places)), size)
    probs = torch.stack([model.class_head(each).float().softmax(1) for each in sampled])
    found = model.detections(f_map, proposals, size, found_score)
    first, *others = (
        _flipped(each.xy, axes, size) for each, axes in zip(found, _FLIPS, strict=True)
    )
    height, width = image.image.shape[:2]
    agreed = ((first >= 0) & (first < [width, height])).all(1)
    for other in others:
        agreed &= distance_to_nearest(first, other) < AGREED_PX
    return Teaching(
        probs.mean(0).double().numpy(), first[agreed], found[0].class_probs[agreed].astype(float)
    )


def _flipped(xy: npt.ArrayLike, axes: tuple[int, ...], size_px: tuple[int, int]) -> FloatArray:
    """Points in a flipped image of size H, W; applied twice it returns the original points.

    Args:
        xy: (n, 2) pixels.
        axes: Flipped axes of a batch, -1 across and -2 down.
        size_px: H and W.
    """
    flipped = np.array(xy, dtype=np.float64).reshape(-1, 2)
    for axis in axes:
        column = -1 - axis
        flipped[:, column] = size_px[axis] - flipped[:, column]
    return flipped


def distance_to_nearest(xy: FloatArray, others: FloatArray) -> FloatArray:
    """(n,) pixels from each point to the nearest of others; infinite if there are none."""
    if not len(others):
        return np.full(len(xy), np.inf)
    distance: FloatArray = KDTree(others).query(xy)[0].reshape(-1)
    return distance
