"""The moving average of weights that is validated and kept."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Tensors = list[Tensor] | tuple[Tensor, ...]


def warmed_up_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An exponential moving average whose decay rises with the number of updates.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that a short run is not held
    back by its random start.

    Args:
        decay: Final decay, 0 to 1.

    Returns:
        A ``multi_avg_fn`` for :class:`torch.optim.swa_utils.AveragedModel`.
    """

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, n_averaged: Tensor | int) -> None:
        n = int(n_averaged)
        weight = 1 - min(decay, (1 + n) / (10 + n))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, weight)
        else:
            # Counters, such as the number of batches a norm has seen.
            torch._foreach_copy_(averaged, current)

    return update
