"""Balancing by Sinkhorn's algorithm: targets use every prototype equally often, against collapse.

Source: Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments"
(SwAV), NeurIPS 2020, section 3.1; as a teacher's normalisation in Oquab et al., "DINOv2", 2023.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

ITERATIONS = 3


class Sinkhorn(nn.Module):
    """Balances the teacher's distributions over the batch, without state.

    A moving centre takes many steps to follow a network early in training; this needs none.
    """

    def __init__(self, mean: Callable[[Tensor], Tensor]) -> None:
        """Create the balancer.

        Args:
            mean: Of a tensor over all processes.
        """
        super().__init__()
        self._mean = mean

    @torch.no_grad()
    def sharpen(self, teacher: Tensor, temperature: float) -> Tensor:
        """Sharpen and balance.

        Args:
            teacher: (R, K) the teacher's outputs, cosines. R may differ from process to process.
            temperature: Below 1 sharpens.

        Returns:
            (R, K) probabilities, in the precision of the outputs but at least float32.
        """
        outputs = teacher.to(torch.promote_types(teacher.dtype, torch.float32))
        # A cosine is at most 1, so that nothing overflows.
        shares = ((outputs - 1) / temperature).exp()
        least = torch.finfo(shares.dtype).tiny
        for _ in range(ITERATIONS):
            # A mean over processes serves as well as a sum: the rows are scaled next.
            shares = shares / self._mean(shares.sum(dim=0)).clamp_min(least)
            shares = shares / shares.sum(dim=1, keepdim=True).clamp_min(least)
        return shares
