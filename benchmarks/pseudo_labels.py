"""Accuracy of pseudo-labels: a fine-tuned model as teacher on the tiles it has not seen.

    python benchmarks/ablation.py --data DATA --work WORK --arms random --tiles 5,10
    python benchmarks/pseudo_labels.py --data DATA --work WORK --arms random --tiles 5,10

Takes the models that benchmarks/ablation.py left in WORK and computes their pseudo-labels for the
other training tiles, as semi-supervised fine-tuning does, and compares them with the annotations.
A first pass over the tiles sets the class thresholds, a second one counts. Prints a JSON line per
model: share of pseudo-nuclei that are annotated nuclei; share of annotated nuclei with a
pseudo-class; share of correct pseudo-classes, over all and as a mean over classes; and the same
share for all nuclei found, whether confident of their class or not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

sys.path.insert(0, str(Path(__file__).parent))

from ablation import CONSISTENCY, MPP, few_tiles
from muse_core.data.points_folder import AnnotatedImage, image_paths, read_points_folder
from muse_core.evaluate.matching import MATCH_RADIUS_UM, match_points
from muse_core.finetune.losses.consistency import ClassThresholds, PseudoLabels, pseudo_labels
from muse_core.models.backbone import SIDE_MULTIPLE_PX, STRIDE_PX
from muse_core.models.checkpoint import load_model
from muse_core.models.heads import anchor_grid
from muse_core.models.muse_model import MuseModel
from muse_core.models.point_features import image_batch
from muse_core.nuclei import ClassScheme

Matches = list[tuple[int, int, bool]]
"""Predicted class, annotated class, whether the teacher is confident."""


def judge(
    model: MuseModel, labelled: list[AnnotatedImage], others: list[AnnotatedImage]
) -> dict[str, float]:
    """Figures of a teacher."""
    classes = ClassScheme.from_json(model.card.classes).names
    names = [name for image in labelled for name in image.class_names]
    counts = torch.tensor([names.count(name) for name in classes])
    thresholds = ClassThresholds(counts, CONSISTENCY)
    for image in others:
        _ask(model, image, thresholds)
    found = annotated = 0
    matches: Matches = []
    for image in others:
        said, side = _ask(model, image, thresholds)
        inside = (image.xy < side).all(axis=1)
        of = np.array([classes.index(name) for name in image.class_names])[inside]
        matches += _matches(said, image.xy[inside], of)
        found += len(said.xy)
        annotated += int(inside.sum())
    sure = [m for m in matches if m[2]]
    by_class = [[m[0] == m[1] for m in sure if m[1] == k] for k in range(len(classes))]
    return {
        "nuclei_right": len(matches) / max(found, 1),
        "with_pseudo_class": len(sure) / annotated,
        "classes_right": float(np.mean([m[0] == m[1] for m in sure])),
        "classes_right_mean_over_classes": float(np.mean([np.mean(c) for c in by_class if c])),
        "classes_right_unsure_too": float(np.mean([m[0] == m[1] for m in matches])),
    }


def _ask(
    model: MuseModel, image: AnnotatedImage, thresholds: ClassThresholds
) -> tuple[PseudoLabels, tuple[int, int]]:
    """Pseudo-labels of the largest part that the network accepts, with its width and height."""
    height, width = (side - side % SIDE_MULTIPLE_PX for side in image.image.shape[:2])
    pixels = image_batch([image.image[:height, :width]], torch.device("cpu"))
    anchors = anchor_grid(height // STRIDE_PX, width // STRIDE_PX, pixels.device)
    free = torch.ones(1, len(anchors), dtype=torch.bool)
    return pseudo_labels(model, pixels, free, thresholds, CONSISTENCY), (width, height)


def _matches(
    said: PseudoLabels, xy: np.ndarray, classes: np.ndarray
) -> Iterator[tuple[int, int, bool]]:
    for i, j in match_points(said.xy.numpy(), xy, MATCH_RADIUS_UM / MPP):
        yield int(said.classes[i]), int(classes[j]), bool(said.class_sure[i])


def main(
    data: Annotated[Path, typer.Option(help="Folder with brcam2c.")],
    work: Annotated[Path, typer.Option(help="Folder of benchmarks/ablation.py.")],
    arms: Annotated[str, typer.Option(help="Comma-separated.")] = "random,image+nulo",
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0,1,2",
    tiles: Annotated[str, typer.Option(help="Labelled tiles, comma-separated.")] = "5,10",
) -> None:
    """Print one JSON line per model."""
    folder = data / "brcam2c" / "train"
    images = read_points_folder(folder, MPP)
    names = [path.stem for path in image_paths(folder)]
    for arm in arms.split(","):
        for n in map(int, tiles.split(",")):
            for seed in map(int, seeds.split(",")):
                chosen = few_tiles(names, n, seed)
                model = load_model(work / f"{arm}-{seed}" / f"tiles{n}-{seed}.safetensors")
                labelled = [image for image in images if image.name in chosen]
                others = [image for image in images if image.name not in chosen]
                figures = judge(model, labelled, others)
                row = {"arm": arm, "tiles": n, "seed": seed}
                print(json.dumps(row | {k: round(v, 3) for k, v in figures.items()}), flush=True)


if __name__ == "__main__":
    typer.run(main)
