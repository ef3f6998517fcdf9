"""Centring by a moving mean of the teacher's outputs, against collapse to one output.

Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (DINO), ICCV
2021, section 3.1, "Avoiding collapse".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Centre(nn.Module):
    """The centre c, and the teacher's distributions softmax((output - c) / temperature).

    Attributes:
        mean: (K,) float, the centre.
    """

    mean: Tensor

    def __init__(self, n_outputs: int, momentum: float) -> None:
        """Start at zero.

        Args:
            n_outputs: K.
            momentum: How much of the old centre an update keeps, 0 to 1.
        """
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(n_outputs))

    def sharpen(self, teacher: Tensor, temperature: float) -> Tensor:
        """Centre and sharpen.

        Args:
            teacher: (..., K) the teacher's outputs.
            temperature: Below 1 sharpens.

        Returns:
            (..., K) probabilities without gradient, in the precision of the outputs but at least
            float32.
        """
        with torch.no_grad():
            outputs = teacher.detach().to(self.mean.dtype)
            return ((outputs - self.mean) / temperature).softmax(dim=-1)

    @torch.no_grad()
    def update(self, total: Tensor, count: Tensor) -> None:
        """Move towards the mean of the outputs of a step.

        Args:
            total: (K,) sum of the teacher's outputs over all processes.
            count: Scalar, how many there were; nothing moves where there was none.
        """
        if float(count) > 0:
            self.mean.lerp_((total / count).to(self.mean), 1 - self.momentum)
