"""L_reg and nucleus against background of a batch: proposals are matched, then compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from muse_core.finetune.config import LossConfig
from muse_core.finetune.losses.assignment import match_proposals
from muse_core.finetune.losses.elementary import nucleus_loss, regression_loss
from muse_core.models.backbone import STRIDE_PX
from muse_core.models.heads import Proposals


def point_losses(
    proposals: Proposals,
    xy: Sequence[Tensor],
    weights: Sequence[Tensor],
    known: Tensor,
    config: LossConfig,
    anchor_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Match proposals with annotated nuclei and compare them.

    Args:
        proposals: Of B images with N anchors each.
        xy: B tensors (M_b, 2) float32, annotated nuclei in pixels, on the CPU.
        weights: B tensors (M_b,) float32, how much each nucleus counts, on the CPU.
        known: (B, N) bool, anchors over annotated tissue, on any device.
        config: Reach of the matching, weight of the background.
        anchor_weight: (B, N) float32, how much anchors that match nothing count; None is 1.

    Returns:
        L_reg and the nucleus loss, scalars not yet weighted.
    """
    found = match_proposals(
        proposals.anchor_xy.cpu().numpy(),
        proposals.xy.detach().cpu().numpy(),
        proposals.logit.detach().sigmoid().cpu().numpy(),
        [points.numpy() for points in xy],
        config.match_px,
    )
    image, proposal, point = (torch.from_numpy(part) for part in found)
    starts = np.cumsum([0] + [len(points) for points in xy[:-1]])
    number = torch.from_numpy(starts)[image] + point
    device = proposals.logit.device
    importance = torch.cat(list(weights))[number].to(device)
    matched = torch.zeros_like(proposals.logit, dtype=torch.bool)
    matched[image, proposal] = True
    weight = (
        torch.ones_like(proposals.logit)
        if anchor_weight is None
        else anchor_weight.to(device, copy=True)
    )
    weight[image, proposal] = importance
    nucleus = nucleus_loss(proposals.logit, matched, known.to(device), config.background, weight)
    targets = torch.cat(list(xy))[number].to(device)
    regression = regression_loss(proposals.xy[image, proposal], targets, STRIDE_PX, importance)
    return regression, nucleus
