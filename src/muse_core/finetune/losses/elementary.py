"""Losses of the point pipeline as functions of tensors, without network or data.

Source: Yang et al., "MUSE", AAAI 2026, section "Fine-tuning": L_reg and L_type, the latter split
into nucleus against background and class given a nucleus.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def nucleus_loss(
    logit: Tensor,
    matched: Tensor,
    known: Tensor,
    background: float,
    weight: Tensor | None = None,
    least_nuclei: float = 1.0,
) -> Tensor:
    """Cross-entropy of nucleus against background over known proposals.

    Args:
        logit: (B, N) float.
        matched: (B, N) bool, proposals matched with a nucleus.
        known: (B, N) bool, proposals over annotated tissue; the others get no gradient, unless
            they are matched.
        background: Weight of a background proposal against that of a matched one.
        weight: (B, N) float, how much each proposal counts besides; None is 1 for all.
        least_nuclei: Lower limit of the divisor.

    Returns:
        Scalar, the weighted sum divided by the number of matched proposals, at least
        ``least_nuclei``.
    """
    each = functional.binary_cross_entropy_with_logits(
        logit.float(), matched.float(), reduction="none"
    )
    share = matched.float() + background * (known & ~matched).float()
    if weight is not None:
        share = share * weight
    return (each * share).sum() / matched.sum().clamp_min(least_nuclei)


def regression_loss(
    xy: Tensor, target: Tensor, stride_px: float, weight: Tensor | None = None
) -> Tensor:
    """Mean squared error of matched positions, in strides.

    Args:
        xy: (K, 2) proposed positions, pixels.
        target: (K, 2) annotated positions, pixels.
        stride_px: Distance of neighbouring anchors.
        weight: (K,) float, how much each pair counts; None is 1 for all.
    """
    if len(xy) == 0:
        return xy.sum() * 0.0
    if weight is None:
        return functional.mse_loss(xy.float() / stride_px, target.float() / stride_px)
    each = ((xy.float() - target.float()) / stride_px).square().mean(dim=1)
    return (each * weight).sum() / weight.sum().clamp_min(1e-6)


def class_loss(
    logits: Tensor,
    classes: Tensor,
    weight: Tensor,
    smoothing: float,
    each_weight: Tensor | None = None,
) -> Tensor:
    """Weighted cross-entropy over classes.

    Args:
        logits: (N, K) float.
        classes: (N,) int64.
        weight: (K,) float, weight of each class.
        smoothing: Label smoothing, 0 to 1.
        each_weight: (N,) float, how much each nucleus counts; None is 1 for all.
    """
    if len(logits) == 0:
        return logits.sum() * 0.0
    weight = weight.to(logits.device)
    if each_weight is None:
        return functional.cross_entropy(
            logits.float(), classes, weight=weight, label_smoothing=smoothing
        )
    each = functional.cross_entropy(
        logits.float(), classes, weight=weight, label_smoothing=smoothing, reduction="none"
    )
    return (each * each_weight).sum() / (weight[classes] * each_weight).sum().clamp_min(1e-6)


def class_weights(counts: Tensor, power: float = 0.5) -> Tensor:
    """Weights that lift rare classes: inverse frequency to a power, with a mean of 1.

    Args:
        counts: (K,) number of nuclei of each class. One that does not occur weighs 1: with
            the weight of the rarest, label smoothing would lift it above all others.
        power: 0 ignores frequency, 1 evens it out.
    """
    occurs = counts > 0
    if not occurs.any():
        return torch.ones(len(counts))
    weight = counts.double().clamp_min(1).pow(-power)
    return torch.where(occurs, weight / weight[occurs].mean(), 1.0).float()
