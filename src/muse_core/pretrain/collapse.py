"""Measures of collapse, in which outputs become the same for all views."""

from __future__ import annotations

import math

import torch
from torch import Tensor


@torch.no_grad()
def entropy_share(probs: Tensor) -> float:
    """Mean entropy of distributions (..., K), as a share of the largest possible; NaN of none.

    1 means that the teacher is always undecided, 0 that it is always certain.
    """
    if not probs.numel():
        return math.nan
    entropy = torch.special.entr(probs.float()).sum(dim=-1).mean()
    return float(entropy) / math.log(probs.shape[-1])


@torch.no_grad()
def usage_share(probs: Tensor) -> float:
    """Entropy of the mean of distributions (..., K), as a share of the largest possible.

    0 means that the teacher gives the same output for everything. NaN if there is none.
    """
    if not probs.numel():
        return math.nan
    return entropy_share(probs.float().flatten(0, -2).mean(dim=0, keepdim=True))


@torch.no_grad()
def feature_rank(features: Tensor) -> float:
    """Effective number of dimensions that features (N, D) vary in.

    Source: exp of the entropy of the singular values (Roy and Vetterli 2007; RankMe, Garrido et
    al., ICML 2023), here of the centred features, so that 0 is a constant.
    """
    if len(features) < 2:
        return math.nan
    # On the CPU, for not every device has float64.
    exact = features.cpu().double()
    centred = exact - exact.mean(dim=0)
    values = torch.linalg.svdvals(centred)
    total = values.sum()
    # What rounding leaves of a constant is no dimension.
    if float(total) <= 1e-6 * float(exact.norm()):
        return 0.0
    return math.exp(float(torch.special.entr(values / total).sum()))
