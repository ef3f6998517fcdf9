"""Clipping the gradient of each parameter by itself."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


@torch.no_grad()
def clip_each(parameters: Iterable[nn.Parameter], most: float) -> float:
    """Scale the gradient of each parameter down to a norm, where it is longer.

    One parameter with a long gradient does not shorten those of all others (DINO, Caron et al.,
    ICCV 2021, in its code).

    Args:
        parameters: Those without a gradient are passed over.
        most: Largest norm.

    Returns:
        The norm of all gradients together before clipping; 0 without any.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return 0.0
    norms = torch.stack(torch._foreach_norm(gradients))
    factors = (most / (norms + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(gradients, list(factors))
    return float(norms.norm())
