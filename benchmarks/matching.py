"""Share of a training step that is spent on matching proposals with nuclei.

python benchmarks/matching.py --data DATA
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from muse_core.data.points_folder import read_points_folder
from muse_core.finetune import LabelSet
from muse_core.finetune.config import LossConfig, ViewConfig
from muse_core.finetune.data.crop_dataset import CropDataset, collate
from muse_core.finetune.data.sources import load_training_data
from muse_core.finetune.full.step import FullLearner
from muse_core.finetune.losses.assignment import match_proposals
from muse_core.models.checkpoint import load_model
from muse_core.models.config import ModelConfig
from muse_core.models.registry import resolve_model


def main(
    data: Annotated[Path, typer.Option(help="Folder with brcam2c.")],
    batch: Annotated[int, typer.Option(help="Crops per step.")] = 2,
    crop_px: Annotated[int, typer.Option(help="Side of a crop.")] = 512,
    repeats: Annotated[int, typer.Option(help="Number of timed steps.")] = 5,
) -> None:
    """Print the median seconds of a step and of its matching, and the share."""
    folder = data / "brcam2c" / "train"
    names = tuple(i.name for i in read_points_folder(folder, 0.5)[:8])
    training = load_training_data((LabelSet(folder, 0.5, names=names),))
    model = load_model(resolve_model(None))
    head = ModelConfig.from_json(model.card.architecture).head
    learner = FullLearner(model, training, head).train()
    crops = CropDataset(training.sources, ViewConfig(crop_px=crop_px), 0.5, 100, seed=0)
    steps, matchings, nuclei = [], [], []
    for number in range(repeats + 1):
        samples = collate([crops[number * batch + i] for i in range(batch)])
        begin = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            losses = learner.losses(samples, LossConfig(), torch.Generator().manual_seed(0))
        losses.total.backward()
        steps.append(time.perf_counter() - begin)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            _, proposals = model(samples.image)
        begin = time.perf_counter()
        match_proposals(
            proposals.anchor_xy.numpy(),
            proposals.xy.numpy(),
            proposals.logit.sigmoid().numpy(),
            [xy.numpy() for xy in samples.xy],
            LossConfig().match_px,
        )
        matchings.append(time.perf_counter() - begin)
        nuclei.append(sum(len(xy) for xy in samples.xy))
    # The first step is a warm-up.
    step, matching = np.median(steps[1:]), np.median(matchings[1:])
    typer.echo(
        f"{batch} x {crop_px} px, {np.mean(nuclei[1:]):.0f} nuclei: step {step:.3f} s,"
        f" matching {matching:.4f} s, {100 * matching / step:.1f}%"
    )


if __name__ == "__main__":
    typer.run(main)
