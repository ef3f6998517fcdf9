"""The network as it is converted: bytes to the point head's output and the decoder's maps.

It computes what the model does, with fewer and smaller arrays, which on processors cost more time
than multiplications do. ``f_map``, a join of projections of the decoder's maps that are resized to
the finest, is not computed: features are read at a few thousand points only, and
:mod:`.map_features` reads the maps there and projects what it has read. A convolution of joined
maps becomes a sum of convolutions of each, so that they need not be joined; one of 1x1 cells is
done before resizing, where there are fewer cells.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from muse_core.models.decoder import Decoder, FusionBlock
from muse_core.models.encoders import MEAN, STD
from muse_core.models.muse_model import MuseModel
from muse_core.models.surroundings import Surroundings


class ConvertedNetwork(nn.Module):
    """The part of a MuseModel in evaluation mode that is converted.

    Anchors are added outside: positions in bfloat16 would be off by whole pixels.
    """

    def __init__(self, model: MuseModel) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(model.backbone)
        decoder = self.backbone.decoder
        decoder.fusion = nn.ModuleList(
            _Fusion(block, decoder) for block in cast("Iterable[FusionBlock]", decoder.fusion)
        )
        self.hyper = nn.ModuleList(decoder.projections())
        self.out = model.point_head.out
        trunk = _folded(model.point_head.trunk)
        self._of_levels = trunk.kernel_size == (1, 1)
        self.trunk = self._split(trunk)
        surroundings = self.backbone.surroundings
        self.project = (
            self._split(surroundings.project) if isinstance(surroundings, Surroundings) else None
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Compute.

        Args:
            image: (1, H, W, 3) uint8.

        Returns:
            Output of the point head (1, 3 r r, h, w), then the decoder's maps, shallow to deep, and
            that of the surroundings, if the model has any.
        """
        fused, _ = self.backbone.fused_maps(_normalised(image.permute(0, 3, 1, 2).float()))
        levels = fused if self._of_levels else self._hyper_features(fused)
        hidden = functional.relu(self.trunk(levels))
        if self.project is not None:
            surroundings = cast("Surroundings", self.backbone.surroundings)
            projected = (
                surroundings.coarse(self.project(levels))
                if self._of_levels
                else self.project([surroundings.coarse(level) for level in levels])
            )
            fused.append(surroundings.around(projected))
        return self.out(hidden).float(), *fused

    def _split(self, joined: nn.Conv2d) -> nn.Module:
        """A convolution of the joined hyper-features, for what ``forward`` has instead of them."""
        projections = cast("Iterable[nn.Conv2d]", self.hyper)
        parts = _parts(joined, [projection.out_channels for projection in projections])
        if not self._of_levels:
            return _OfParts(parts)
        return _OfLevels(map(_after, projections, parts), self.backbone.decoder)

    def _hyper_features(self, fused: Sequence[Tensor]) -> list[Tensor]:
        """Hyper-features of each level, (B, H, h_0, w_0)."""
        size = list(fused[0].shape[-2:])
        resized = self.backbone.decoder.resized
        return [resized(p(x), size) for p, x in zip(self.hyper, fused, strict=True)]


class _OfParts(nn.Module):
    """A convolution of joined maps, as the sum of convolutions of each."""

    def __init__(self, parts: Iterable[nn.Conv2d]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, C_i, h, w) each to (B, C, h, w)."""
        parts = [part(x) for part, x in zip(self.parts, maps, strict=True)]
        return sum(parts[1:], start=cast("Tensor", parts[0]))


class _OfLevels(nn.Module):
    """A 1x1 convolution of joined maps, done for each before it is resized to the first."""

    def __init__(self, parts: Iterable[nn.Conv2d], decoder: Decoder) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self._resized = decoder.resized

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, C_i, h_i, w_i) each, shallow to deep, to (B, C, h_0, w_0)."""
        first, *others = (part(x) for part, x in zip(self.parts, maps, strict=True))
        size = list(first.shape[-2:])
        return sum((self._resized(x, size) for x in others), start=cast("Tensor", first))


class _Fusion(nn.Module):
    """A FusionBlock that does not join its maps."""

    def __init__(self, block: FusionBlock, decoder: Decoder) -> None:
        super().__init__()
        reduce = _folded(block.reduce)
        shallower = reduce.out_channels
        self.reduce = _OfParts(_parts(reduce, [reduce.in_channels - shallower, shallower]))
        self.refine = block.refine
        self._resized = decoder.resized

    def forward(self, deeper: Tensor, shallower: Tensor) -> Tensor:
        """See :meth:`FusionBlock.forward`."""
        deeper = self._resized(deeper, list(shallower.shape[-2:]))
        refined: Tensor = self.refine(functional.relu(self.reduce([deeper, shallower])))
        return refined


def _normalised(pixels: Tensor) -> Tensor:
    """What ``normalise`` does, of (1, 3, H, W) in 0..255 and in one multiplication."""
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return pixels * (1 / (255 * std)) - torch.tensor(MEAN).view(1, 3, 1, 1) / std


def _folded(layers: nn.Sequential) -> nn.Conv2d:
    """The convolution that a sequence begins with, with the batch norm that follows."""
    return fuse_conv_bn_eval(cast("nn.Conv2d", layers[0]), cast("nn.BatchNorm2d", layers[1]))


@torch.no_grad()
def _parts(joined: nn.Conv2d, channels: Sequence[int]) -> list[nn.Conv2d]:
    """Convolutions of each of the joined maps; the first adds the bias."""
    parts = []
    for number, weight in enumerate(joined.weight.split(list(channels), dim=1)):
        part = nn.Conv2d(
            weight.shape[1],
            joined.out_channels,
            cast("tuple[int, int]", joined.kernel_size),
            padding=cast("tuple[int, int]", joined.padding),
            bias=number == 0,
        )
        part.weight.copy_(weight)
        if part.bias is not None and joined.bias is not None:
            part.bias.copy_(joined.bias)
        parts.append(part)
    return parts


@torch.no_grad()
def _after(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """The 1x1 convolution that equals two, one after the other."""
    both = nn.Conv2d(first.in_channels, second.out_channels, 1)
    weight = second.weight.flatten(1)
    both.weight.copy_((weight @ first.weight.flatten(1))[:, :, None, None])
    assert both.bias is not None
    assert first.bias is not None
    both.bias.copy_(weight @ first.bias)
    if second.bias is not None:
        both.bias += second.bias
    return both
