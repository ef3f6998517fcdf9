"""The decoder: fusion blocks from deep to shallow, and the hyper-features.

Source: Yang et al., "MUSE", AAAI 2026, section "Backbone".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from muse_core.models.encoders import resize


class ResidualBlock(nn.Module):
    """conv3x3-BN-ReLU, conv3x3-BN, shortcut, ReLU; the shortcut is 1x1-BN when channels differ."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = _conv_bn(channels_in, channels_out, kernel=3)
        self.conv2 = _conv_bn(channels_out, channels_out, kernel=3)
        self.shortcut = (
            nn.Identity()
            if channels_in == channels_out
            else _conv_bn(channels_in, channels_out, kernel=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, h, w) to (B, channels_out, h, w)."""
        out = self.conv2(functional.relu(self.conv1(x)))
        return functional.relu(out + self.shortcut(x))


class FusionBlock(nn.Module):
    """Joins a deeper map with a shallower one: resize, concatenate, conv3x3-BN-ReLU, residual."""

    def __init__(self, deeper: int, shallower: int, align_corners: bool) -> None:
        super().__init__()
        self._align_corners = align_corners
        self.reduce = _conv_bn(deeper + shallower, shallower, kernel=3)
        self.refine = ResidualBlock(shallower, shallower)

    def forward(self, deeper: Tensor, shallower: Tensor) -> Tensor:
        """(B, d, h, w) and (B, s, 2h, 2w) to (B, s, 2h, 2w)."""
        joined = torch.cat([self.resized(deeper, shallower), shallower], dim=1)
        result: Tensor = self.refine(functional.relu(self.reduce(joined)))
        return result

    def resized(self, deeper: Tensor, shallower: Tensor) -> Tensor:
        """The deeper map at the size of the shallower one."""
        return resize(deeper, list(shallower.shape[-2:]), self._align_corners)


class Decoder(nn.Module):
    """Maps from shallow to deep to one dense feature map at the stride of the shallowest."""

    def __init__(self, channels: Sequence[int], hyper_channels: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        # A decoder map has the channels of the shallower map it was fused with.
        self.fusion = nn.ModuleList(
            FusionBlock(channels[i + 1], channels[i], align_corners)
            for i in reversed(range(len(channels) - 1))
        )
        self.hyper = nn.ModuleList(_conv_bn(c, hyper_channels, kernel=1) for c in channels)
        self.out_channels = len(channels) * hyper_channels

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Fuse maps (B, C_i, h_i, w_i), shallow to deep, to (B, out_channels, h_0, w_0)."""
        return self.joined(self.fused(maps))

    def fused(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Fuse maps (B, C_i, h_i, w_i), shallow to deep, to maps of the same shapes and order."""
        return fused_by(self.fusion, maps)

    def joined(self, fused: Sequence[Tensor], n_maps: int | None = None) -> Tensor:
        """Hyper-features (B, out_channels, h_0, w_0) of fused maps, shallow to deep.

        Args:
            fused: The maps.
            n_maps: Number of maps, from the shallowest, whose hyper-features are wanted; None for
                all. They have so many times ``hyper_channels`` channels.
        """
        size = list(fused[0].shape[-2:])
        hyper = [
            self.resized(project(x), size)
            for project, x in list(zip(self.hyper, fused, strict=True))[:n_maps]
        ]
        return torch.cat(hyper, dim=1)

    def projections(self) -> list[nn.Conv2d]:
        """The 1x1 convolutions to hyper-features, with folded batch norms, shallow to deep."""
        return [
            fuse_conv_bn_eval(cast("nn.Conv2d", hyper[0]), cast("nn.BatchNorm2d", hyper[1]))
            for hyper in cast("Iterable[nn.Sequential]", self.hyper)
        ]

    def resized(self, x: Tensor, size: list[int]) -> Tensor:
        """Resize (B, C, h, w) to the shallowest map's size as hyper-features are resized."""
        return resize(x, size, self.align_corners)


def fused_by(blocks: Iterable[nn.Module], maps: Sequence[Tensor]) -> list[Tensor]:
    """Fuse maps, shallow to deep, by a block for each but the deepest, deep to shallow."""
    fused = [maps[-1]]
    for block, shallower in zip(blocks, reversed(maps[:-1]), strict=True):
        fused.append(block(fused[-1], shallower))
    return fused[::-1]


def _conv_bn(channels_in: int, channels_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    )
