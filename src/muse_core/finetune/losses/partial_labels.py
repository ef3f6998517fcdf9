"""Class loss for partial labels, each of which stands for a set of the model's classes.

"Background cell" stands for any class but tumor, "nucleus" for all. The loss is the negative
logarithm of the set's summed probability (Jin and Ghahramani, "Learning with multiple labels", NIPS
2002).
"""

from __future__ import annotations

import torch
from torch import Tensor


def partial_label_loss(
    logits: Tensor,
    labels: Tensor,
    allowed: Tensor,
    weight: Tensor,
    smoothing: float = 0.0,
    each_weight: Tensor | None = None,
) -> Tensor:
    """Weighted mean of -log of the summed probability of the classes a label allows.

    Args:
        logits: (N, K) float.
        labels: (N,) int64, rows of ``allowed``.
        allowed: (L, K) bool, the classes that each label may be. A label that allows all of them
            says nothing and does not count.
        weight: (L,) float, weight of each label.
        smoothing: Share of the loss that asks for all classes alike, 0 to 1.
        each_weight: (N,) float, how much each nucleus counts; None is 1 for all.

    Returns:
        Scalar; 0, with a gradient of 0, where no nucleus counts.
    """
    if len(logits) == 0:
        return logits.sum() * 0.0
    allowed = allowed.to(logits.device)
    says = (~allowed.all(dim=1)).float() * weight.to(logits.device)
    share = says[labels]
    if each_weight is not None:
        share = share * each_weight
    log_p = logits.float().log_softmax(dim=1)
    of_set = log_p.masked_fill(~allowed[labels], -torch.inf).logsumexp(dim=1)
    each = -(1 - smoothing) * of_set - smoothing * log_p.mean(dim=1)
    return (each * share).sum() / share.sum().clamp_min(1e-6)
