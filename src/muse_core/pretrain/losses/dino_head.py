"""The projection head of DINO (Caron et al., ICCV 2021, appendix C)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from muse_core.pretrain.global_norm import GlobalBatchNorm


class DinoHead(nn.Module):
    """Three-layer MLP to a bottleneck, L2-normalised, then prototypes of unit length.

    DINO's weight-normed last layer with gains fixed at 1 is implemented as a linear layer with rows
    of unit length.

    Example:
        >>> DinoHead(384, n_outputs=4096)(torch.zeros(2, 384)).shape
        torch.Size([2, 4096])
    """

    def __init__(
        self,
        in_channels: int,
        n_outputs: int,
        hidden_channels: int = 2048,
        bottleneck_channels: int = 256,
        batch_norm: bool = False,
    ) -> None:
        """Random weights.

        Args:
            in_channels: Length of the features.
            n_outputs: Number of prototypes, K.
            hidden_channels: Width of the two hidden layers.
            bottleneck_channels: Length of what is compared with the prototypes.
            batch_norm: Whether the hidden layers are normalised over the batch.
        """
        super().__init__()
        self.mlp = nn.Sequential(
            *_hidden_layer(in_channels, hidden_channels, batch_norm),
            *_hidden_layer(hidden_channels, hidden_channels, batch_norm),
            nn.Linear(hidden_channels, bottleneck_channels),
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = nn.Parameter(torch.randn(n_outputs, bottleneck_channels))

    def forward(self, features: Tensor) -> Tensor:
        """Project (N, in_channels) to cosines (N, K), -1 to 1, in float32 or better.

        In bfloat16 cosines come in steps of 0.002 to 0.004, a tenth of the teacher's temperature.
        """
        bottleneck = self.mlp(features)
        with torch.autocast(bottleneck.device.type, enabled=False):
            exact = bottleneck.to(torch.promote_types(bottleneck.dtype, torch.float32))
            prototypes = functional.normalize(self.prototypes, dim=-1)
            return functional.linear(functional.normalize(exact, dim=-1), prototypes)


def _hidden_layer(in_channels: int, out_channels: int, batch_norm: bool) -> list[nn.Module]:
    norm = [GlobalBatchNorm(out_channels)] if batch_norm else []
    return [nn.Linear(in_channels, out_channels), *norm, nn.GELU()]
