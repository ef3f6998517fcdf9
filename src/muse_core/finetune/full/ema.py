"""The exponential moving average of the weights, which is validated and saved."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Tensors = list[Tensor] | tuple[Tensor, ...]


def warmed_up_average(
    decay: float, reach: float = 1 / 9
) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An exponential moving average whose decay rises with the number of updates.

    After n updates the current weights count 1 - decay, but at least k / (1 + k + n) with
    k = 1 / reach: the window of the average is at most about that share of the steps so far, so
    that the random start does not dominate a short run. This is polynomial-decay averaging (Shamir
    and Zhang, ICML 2013).

    Args:
        decay: Final decay, 0 to 1.
        reach: Share of the steps so far, above 0, at most 1.

    Returns:
        A ``multi_avg_fn`` for :class:`torch.optim.swa_utils.AveragedModel`.
    """
    k = 1 / reach

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, n_averaged: Tensor | int) -> None:
        weight = max(1 - decay, k / (1 + k + int(n_averaged)))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, weight)
        else:
            # Counters, such as the number of batches a norm has seen.
            torch._foreach_copy_(averaged, current)

    return update
