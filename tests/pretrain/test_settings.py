"""What settings of losses and schedule do to a step."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Literal

import pytest
import torch

from muse_core.pretrain.config import PretrainConfig
from muse_core.pretrain.train import Run

from .roi_folder import tiny_config, write_rois


@pytest.fixture
def config(tmp_path: Path) -> PretrainConfig:
    return tiny_config(write_rois(tmp_path / "rois"), tmp_path / "out")


def test_nuclei_weigh_the_same_or_pairs_of_views_do(config: PretrainConfig) -> None:
    def first_loss(nucleus_mean: Literal["pair", "nucleus"]) -> float:
        losses = dataclasses.replace(config.losses, nucleus_mean=nucleus_mean, image_prototypes=8)
        run = Run(dataclasses.replace(config, losses=losses, out=config.out / nucleus_mean))
        with contextlib.closing(run), contextlib.closing(run.batches()) as batches:
            run.train_on(batches)
        assert run.last is not None
        assert run.last.image_targets.shape[1] == 8
        assert run.last.nucleus_targets.shape[1] == 32
        return float(run.last.nucleus)

    of_nuclei, of_pairs = first_loss("nucleus"), first_loss("pair")
    assert of_nuclei == pytest.approx(of_pairs, rel=0.2)
    assert of_nuclei != pytest.approx(of_pairs, rel=1e-4)


@pytest.mark.parametrize("clip_per", ["parameter", "network"])
def test_gradients_are_clipped(
    config: PretrainConfig, clip_per: Literal["parameter", "network"]
) -> None:
    schedule = dataclasses.replace(config.schedule, clip=1e-3, clip_per=clip_per)
    run = Run(dataclasses.replace(config, schedule=schedule))
    norms: list[torch.Tensor] = []
    step = run.optimizer.step

    def keep(*arguments: object, **named: object) -> object:
        norms.extend(p.grad.norm() for p in run.network.parameters() if p.grad is not None)
        return step(*arguments, **named)

    run.optimizer.step = keep
    with contextlib.closing(run), contextlib.closing(run.batches()) as batches:
        run.train_on(batches)
    assert max(norms) <= 1.001e-3
    together = float(torch.stack(norms).norm())
    assert (together > 2e-3) == (clip_per == "parameter")
    assert (together <= 1.001e-3) == (clip_per == "network")
