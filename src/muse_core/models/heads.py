"""The point head: for each anchor an offset and a nucleus logit.

Classes are read at points by a head of their own.

The family is P2PNet and DPA-P2PNet: a fixed grid of anchor points with one-to-one matching. Class
logits over K classes and background are factorised into p(nucleus) and p(class | nucleus), so that
label sets with other classes train the same detector without inventing classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from muse_core.models.backbone import STRIDE_PX
from muse_core.models.config import HeadConfig

# A prior of 2% nuclei among anchors keeps the first steps from being spent on the background.
_PRIOR_LOGIT = -4.0


@dataclass(frozen=True)
class Proposals:
    """Proposals of the point head: N = (H/4)(W/4) points, row by row.

    Attributes:
        anchor_xy: (N, 2) float32, cell centres in input pixels.
        xy: (B, N, 2) float32, proposed positions in input pixels.
        logit: (B, N) float32, nucleus against background.
    """

    anchor_xy: Tensor
    xy: Tensor
    logit: Tensor


class PointHead(nn.Module):
    """Offsets and nucleus logits for a grid of anchors at stride 4.

    A map of stride 8 has 2 x 2 anchors in each cell. The head reads only the decoder's channels,
    which come first: whether something is a nucleus does not depend on its surroundings.
    """

    def __init__(self, channels: int, config: HeadConfig, map_stride_px: int = STRIDE_PX) -> None:
        super().__init__()
        hidden = config.hidden_channels
        self._channels = channels
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, hidden, config.kernel, padding=config.kernel // 2, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
        )
        self._side = map_stride_px // STRIDE_PX
        per_cell = self._side**2
        self.out = nn.Conv2d(hidden, 3 * per_cell, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        bias = torch.tensor([_PRIOR_LOGIT, 0.0, 0.0]).repeat_interleave(per_cell)
        self.out.bias = nn.Parameter(bias)

    def forward(self, f_map: Tensor) -> Proposals:
        """Propose points from ``f_map`` (B, C, h, w)."""
        return self.proposals(self.trunk(self.seen(f_map)))

    def seen(self, f_map: Tensor) -> Tensor:
        """The part of ``f_map`` that the head reads, (B, channels, h, w)."""
        return f_map[:, : self._channels]

    def proposals(self, hidden: Tensor) -> Proposals:
        """Propose points from the trunk's output (B, hidden_channels, h, w)."""
        out = functional.pixel_shuffle(self.out(hidden).float(), self._side)
        _, _, rows, columns = out.shape
        anchors = anchor_grid(rows, columns, out.device)
        offset = out[:, 1:].flatten(2).transpose(1, 2) * STRIDE_PX
        return Proposals(anchors, anchors + offset, out[:, 0].flatten(1))


class ClassHead(nn.Module):
    """Class logits of nuclei from their sampled features."""

    def __init__(self, channels: int, n_classes: int, config: HeadConfig) -> None:
        super().__init__()
        hidden = config.class_hidden_channels or config.hidden_channels
        self.hidden = nn.Linear(channels, hidden)
        self._dropout = config.dropout
        self.out = nn.Linear(hidden, n_classes)

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(N, C) float features to (N, K) logits.

        Args:
            features: Of N nuclei.
            generator: Source of dropout in training, on the CPU; the global one without it. Threads
                that train together need one each, for they draw in no certain order.
        """
        hidden = functional.gelu(self.hidden(features))
        if self.training and self._dropout:
            kept = torch.rand(hidden.shape, generator=generator) >= self._dropout
            hidden = hidden * kept.to(hidden.device) / (1 - self._dropout)
        result: Tensor = self.out(hidden)
        return result


def at_anchors(pixels: Tensor) -> Tensor:
    """Sample a map of pixels (B, H, W) at the pixel of each anchor: (B, N)."""
    return pixels[:, STRIDE_PX // 2 :: STRIDE_PX, STRIDE_PX // 2 :: STRIDE_PX].flatten(1)


def anchor_grid(rows: int, columns: int, device: torch.device) -> Tensor:
    """Centres of a stride-4 map's cells, (rows*columns, 2) float32 input pixels, row by row."""
    y = (torch.arange(rows, device=device, dtype=torch.float32) + 0.5) * STRIDE_PX
    x = (torch.arange(columns, device=device, dtype=torch.float32) + 0.5) * STRIDE_PX
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x.flatten(), grid_y.flatten()], dim=1)
