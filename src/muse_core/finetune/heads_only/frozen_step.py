"""Losses of the heads on frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from muse_core.finetune.config import FinetuneConfig, LossConfig
from muse_core.finetune.heads_only.frozen import FrozenView, propose
from muse_core.finetune.losses.elementary import class_loss
from muse_core.finetune.losses.point_losses import point_losses
from muse_core.models.muse_model import MuseModel


@dataclass(frozen=True)
class HeadLosses:
    """Losses of one step, scalars with gradient."""

    total: Tensor
    point: Tensor
    classes: Tensor


def head_losses(
    model: MuseModel,
    views: Sequence[FrozenView],
    weights: Tensor,
    config: FinetuneConfig,
    generator: torch.Generator,
) -> HeadLosses:
    """Losses of some views' anchors and some nuclei's classes.

    Args:
        model: On its device.
        views: All there are.
        weights: (K,) weight of each class.
        config: Sizes of a step, and weights of the losses.
        generator: Chooses views, nuclei and places, on the CPU.
    """
    chosen = torch.randperm(len(views), generator=generator)[: config.adapt.views_per_step]
    parts = [_point_loss(model, views[int(i)], config.losses) for i in chosen]
    point = torch.stack(parts).mean()
    features, classes, importance = _some_nuclei(views, config.adapt.nuclei_per_step, generator)
    device = point.device
    of_classes = class_loss(
        model.class_head(features.to(device)),
        classes.to(device),
        weights,
        config.losses.label_smoothing,
        importance.to(device),
    )
    return HeadLosses(point + config.losses.classes * of_classes, point, of_classes)


def _point_loss(model: MuseModel, view: FrozenView, config: LossConfig) -> Tensor:
    head = model.point_head
    proposals = propose(head, view.trunk[None].float().to(head.out.weight.device))
    regression, nucleus = point_losses(
        proposals,
        [view.xy],
        [view.weights],
        view.known[None],
        config,
        view.anchor_weight[None],
    )
    return config.nucleus * nucleus + config.regression * regression


def _some_nuclei(
    views: Sequence[FrozenView], count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Features (n, D), classes (n,) and weights (n,) of nuclei at random places of their own."""
    sizes = torch.tensor([len(v.classes) for v in views])
    starts = torch.cumsum(sizes, 0) - sizes
    total = int(sizes.sum())
    chosen = torch.randint(total, (min(count, total),), generator=generator)
    of = torch.searchsorted(starts + sizes, chosen, right=True)
    rows = chosen - starts[of]
    features, classes, weights = [], [], []
    for number in of.unique().tolist():
        view, here = views[number], rows[of == number]
        place = torch.randint(view.features.shape[1], (len(here),), generator=generator)
        features.append(view.features[here, place].float())
        classes.append(view.classes[here])
        weights.append(view.weights[here])
    return torch.cat(features), torch.cat(classes), torch.cat(weights)
