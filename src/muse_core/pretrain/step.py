"""The losses of a training step, from the outputs of student and teacher."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from muse_core.pretrain.appearance import apply_appearance
from muse_core.pretrain.batches import PretrainBatch
from muse_core.pretrain.config import PretrainConfig
from muse_core.pretrain.losses import Centre, Sinkhorn, dino_loss, nulo_loss

Mean = Callable[[Tensor], Tensor]
"""Mean of a tensor over all processes."""

Balance = Centre | Sinkhorn
"""Converts the teacher's outputs to distributions, see LossesConfig.balance."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """The teacher of a step: its network gives the targets of the student.

    Attributes:
        network: A DistillationNetwork.
        balances: For images and for nuclei.
        temperature: At this step.
    """

    network: nn.Module
    balances: tuple[Balance, Balance]
    temperature: float


@dataclass(frozen=True, eq=False)
class StepOutput:
    """Losses and diagnostics of one pass.

    Attributes:
        total: Weighted sum of the losses, with gradient.
        image: L_image, a scalar without gradient.
        nucleus: NuLo, a scalar without gradient.
        image_targets: (T * B, K) the teacher's distributions of views.
        nucleus_targets: (P, K) the teacher's distributions of matched nuclei.
        image_outputs: (T * B, K) outputs that update the teacher's centre for views.
        nucleus_outputs: (R, K) outputs that update its centre for nuclei.
        image_features: (n, C) the student's, of all views.
        nucleus_features: (m, C) the student's, of all matched nuclei.
    """

    total: Tensor
    image: Tensor
    nucleus: Tensor
    image_targets: Tensor
    nucleus_targets: Tensor
    image_outputs: Tensor
    nucleus_outputs: Tensor
    image_features: Tensor
    nucleus_features: Tensor


def distil(
    student: nn.Module,
    teacher: Teacher,
    batch: PretrainBatch,
    config: PretrainConfig,
    autocast: Callable[[], AbstractContextManager[Any]],
    mean: Mean,
) -> StepOutput:
    """Forward passes and losses of a batch.

    Args:
        student: A DistillationNetwork, wrapped so that it sets its own precision; sees all views.
        teacher: Sees the global views.
        batch: On the device.
        config: The run.
        autocast: Sets the precision of the teacher. Appearance and losses are always float32.
        mean: Over all processes.
    """
    views, losses = config.views, config.losses
    images = _images(batch)
    xy = [crops.xy for crops in batch.groups]
    valid = [crops.valid for crops in batch.groups]
    with torch.no_grad(), autocast():
        image_t, nucleus_t, _, _ = teacher.network(images[:1], xy[:1], valid[:1])
    image_s, nucleus_s, image_f, nucleus_f = student(images, xy, valid)
    image_s, nucleus_s = image_s.float(), nucleus_s.float()
    image_targets = teacher.balances[0].sharpen(image_t, teacher.temperature)
    nucleus_targets = teacher.balances[1].sharpen(nucleus_t, teacher.temperature)[batch.teacher_row]
    n_views = views.n_global + views.n_local
    image = dino_loss(
        image_targets.unflatten(0, (views.n_global, -1)),
        image_s.unflatten(0, (n_views, -1)),
        losses.student_temperature,
    )
    pair, pair_size = _averaged(batch, losses.nucleus_mean)
    n_pairs = mean(torch.tensor(float(len(pair_size)), device=image_s.device))
    nucleus = nulo_loss(
        nucleus_targets,
        nucleus_s[batch.student_row],
        pair,
        pair_size,
        float(n_pairs),
        losses.student_temperature,
    )
    return StepOutput(
        total=losses.image_weight * image + losses.nucleus_weight * nucleus,
        image=image.detach(),
        nucleus=nucleus.detach(),
        image_targets=image_targets,
        nucleus_targets=nucleus_targets,
        image_outputs=image_t.float(),
        nucleus_outputs=nucleus_t.float(),
        image_features=image_f.detach(),
        nucleus_features=nucleus_f.detach(),
    )


def _averaged(batch: PretrainBatch, over: str) -> tuple[Tensor, Tensor]:
    """Return the pair of each match and the size of each pair for NuLo."""
    if over == "pair":
        return batch.pair, batch.pair_size
    return torch.arange(len(batch.pair), device=batch.pair.device), torch.ones_like(batch.pair)


def _images(batch: PretrainBatch) -> list[Tensor]:
    """Return the (n, 3, S, S) views of each group, float32 from 0 to 1, with their appearance."""
    images = (
        apply_appearance(crops.images.float() / 255, crops.appearances) for crops in batch.groups
    )
    return [image.contiguous(memory_format=torch.channels_last) for image in images]
