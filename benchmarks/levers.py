"""Changes to a trained model, evaluated on hospitals it has not seen.

    python benchmarks/levers.py --data DATA --work WORK --steps 300

WORK contains the models of cross_validate.py. Each change is measured alone, on the tiles of the
hospital that a model was trained without and at the model's own threshold: batch norm statistics
mixed with those of the image, the image's colours normalised to the mean and standard deviation of
the training tiles, classes averaged over the eight flips and rotations. Prints one JSON line per
change: F det and F avg of each hospital, and their means.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from label_sets import BREAST, MPP, Prepared, prepare
from muse_small import BREAST_SITES

from cross_validate import tiles_of
from muse_core.data.points_folder import AnnotatedImage, read_points_folder
from muse_core.evaluate.detection import DetectionReport, score_tables
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel
from muse_core.models.point_features import image_batch
from muse_core.models.tile_detections import Floats, TileDetections
from muse_core.nuclei import nucleus_table

Image = npt.NDArray[np.uint8]
Lever = Callable[[MuseModel, Image], TileDetections]


def main(
    data: Annotated[Path, typer.Option(help="Folder with the sets.")],
    work: Annotated[Path, typer.Option(help="Folder with sets and models.")],
    steps: Annotated[int, typer.Option(help="Steps of the models' second stage.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the models.")] = 0,
) -> None:
    """Print a JSON line for each change."""
    prepared = prepare(data, work / "sets")
    models = {
        s: load_model(work / f"sets-{steps}-{seed}-without-{s}.safetensors") for s in BREAST_SITES
    }
    for name, lever in levers(prepared).items():
        reports = {
            site: score(model, tiles_of(data, site), lever) for site, model in models.items()
        }
        print(json.dumps({"lever": name, **figures(reports)}), flush=True)


def levers(prepared: Prepared) -> dict[str, Lever]:
    """The changes by name; the first is no change."""
    colours = colours_of(prepared)
    return {
        "as trained": detect,
        "batch norm, a quarter of the image's": lambda m, x: detect_with_own_norm(m, x, 0.25),
        "batch norm, half of the image's": lambda m, x: detect_with_own_norm(m, x, 0.5),
        "colours of the tiles learnt from": lambda m, x: detect(m, recoloured(x, colours)),
        "classes over eight views": detect_with_views,
    }


def score(model: MuseModel, images: tuple[AnnotatedImage, ...], lever: Lever) -> DetectionReport:
    """Figures of a model on the tiles of a hospital."""
    names = [c["name"] for c in model.card.classes]
    tables = [_table(lever(model, image.image), names) for image in images]
    return score_tables(images, tables, names)


def figures(reports: Mapping[str, DetectionReport]) -> dict[str, object]:
    """F det and F avg of each hospital, and their unweighted means."""
    f_det = {site: round(report.f_det, 4) for site, report in reports.items()}
    f_avg = {site: round(report.f_avg or 0.0, 4) for site, report in reports.items()}
    means = {"f_det": float(np.mean([*f_det.values()])), "f_avg": float(np.mean([*f_avg.values()]))}
    return {"sites_f_det": f_det, "sites_f_avg": f_avg, **means}


@torch.inference_mode()
def detect(model: MuseModel, rgb: Image) -> TileDetections:
    """Nuclei of a tile, found without a change."""
    with torch.autocast("cpu", torch.bfloat16):
        return model.predict(_batch(rgb))[0]


def detect_with_own_norm(model: MuseModel, rgb: Image, share: float) -> TileDetections:
    """Nuclei of a tile, with its own statistics mixed into those of every batch norm."""
    with _own_norm(model, share):
        return detect(model, rgb)


@torch.inference_mode()
def detect_with_views(model: MuseModel, rgb: Image) -> TileDetections:
    """Nuclei of a tile, their classes averaged over its eight flips and rotations."""
    found = detect(model, rgb)
    total = np.zeros(found.class_probs.shape, dtype=np.float32)
    for turns in range(4):
        for flip in (False, True):
            image, xy = _view(rgb, found.xy, turns, flip)
            total += _class_probs(model, image, xy)
    return dataclasses.replace(found, class_probs=total / np.float32(8))


def recoloured(rgb: Image, colours: npt.NDArray[np.float64]) -> Image:
    """A tile normalised to the mean and standard deviation per channel in ``colours``."""
    mean, spread = rgb.mean((0, 1)), rgb.std((0, 1)) + 1.0
    moved = (rgb - mean) / spread * colours[1] + colours[0]
    clipped: Image = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
    return clipped


def colours_of(prepared: Prepared) -> npt.NDArray[np.float64]:
    """(2, 3) mean and standard deviation of the channels over the breast tiles of all hospitals."""
    images = read_points_folder(prepared.folder(BREAST), MPP)
    pixels = np.concatenate([image.image.reshape(-1, 3)[::17] for image in images])
    return np.stack([pixels.mean(0), pixels.std(0)])


def _class_probs(model: MuseModel, rgb: Image, xy: Floats) -> npt.NDArray[np.float32]:
    batch = _batch(rgb)
    size = (batch.shape[-2], batch.shape[-1])
    with torch.autocast("cpu", torch.bfloat16):
        f_map, _ = model.backbone(batch)
        features = model.backbone.sample(f_map, torch.from_numpy(np.float32(xy))[None], size)[0]
        probs: Tensor = model.class_head(features).float().softmax(dim=1)
    return probs.numpy()


def _view(rgb: Image, xy: Floats, turns: int, flip: bool) -> tuple[Image, Floats]:
    """A tile rotated by quarter turns and then flipped left to right, with its points."""
    for _ in range(turns):
        # rot90 brings the last column to the top: (x, y) becomes (y, width - x).
        width = rgb.shape[1]
        rgb, xy = np.rot90(rgb), np.stack([xy[:, 1], width - xy[:, 0]], axis=1)
    if flip:
        rgb, xy = rgb[:, ::-1], np.stack([rgb.shape[1] - xy[:, 0], xy[:, 1]], axis=1)
    return np.ascontiguousarray(rgb), xy


@contextmanager
def _own_norm(model: MuseModel, share: float) -> Iterator[None]:
    """Mix the statistics of each input into those of every batch norm of a model."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]

    def mixed(norm: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> Tensor:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        x = inputs[0].float()
        mean = torch.lerp(norm.running_mean, x.mean((0, 2, 3)), share)
        var = torch.lerp(norm.running_var, x.var((0, 2, 3)), share)
        out = functional.batch_norm(x, mean, var, norm.weight, norm.bias, eps=norm.eps)
        # timm's norms contain their activation, which follows the part replaced here.
        act: nn.Module = getattr(norm, "act", nn.Identity())
        activated: Tensor = act(out)
        return activated

    handles = [norm.register_forward_hook(mixed) for norm in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _batch(rgb: Image) -> Tensor:
    return image_batch([rgb], torch.device("cpu")).contiguous(memory_format=torch.channels_last)


def _table(found: TileDetections, names: list[str]) -> pd.DataFrame:
    classes = [names[k] for k in found.class_probs.argmax(axis=1)]
    return nucleus_table(found.xy[:, 0], found.xy[:, 1], classes, found.score)


if __name__ == "__main__":
    typer.run(main)
