"""The network as it is converted: bytes to the point head's output and the decoder's maps.

It computes what the model does, with fewer and smaller arrays, which on processors cost more time
than multiplications do. ``f_map``, a join of projections of the decoder's maps that are resized to
the finest, is not given out: features are read at a few thousand points only, and
:mod:`.map_features` reads the maps there and projects what it has read. Where the point head reads
single cells, it is not computed either: convolutions of 1x1 cells are done before resizing, where
there are fewer cells. Two maps are not joined to be convolved: their convolutions are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from muse_core.models.decoder import Decoder, FusionBlock, fused_by
from muse_core.models.encoders import MEAN, STD
from muse_core.models.muse_model import MuseModel
from muse_core.models.surroundings import Surroundings


class ConvertedNetwork(nn.Module):
    """The part of a MuseModel in evaluation mode that is converted.

    Anchors are added outside: positions in bfloat16 would be off by whole pixels.
    """

    def __init__(self, model: MuseModel) -> None:
        super().__init__()
        self.backbone = model.backbone
        blocks = cast("Iterable[FusionBlock]", model.backbone.decoder.fusion)
        self.fusion = nn.ModuleList(map(_SummedFusion, blocks))
        self.point_head = model.point_head
        decoder, surroundings = model.backbone.decoder, model.backbone.surroundings
        trunk = _folded(model.point_head.trunk)
        self._n_maps = trunk.in_channels * len(decoder.hyper) // decoder.out_channels
        self.trunk = _OfLevels(trunk, decoder) if trunk.kernel_size == (1, 1) else None
        all_joined = self.trunk is None and self._n_maps == len(decoder.hyper)
        self.project = (
            _OfLevels(surroundings.project, decoder)
            if isinstance(surroundings, Surroundings) and not all_joined
            else None
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Compute.

        Args:
            image: (1, H, W, 3) uint8.

        Returns:
            Output of the point head (1, 3 r r, h, w), then the decoder's maps, shallow to deep, and
            that of the surroundings, if the model has any.
        """
        maps, _ = self.backbone.encoder_maps(_normalised(image.permute(0, 3, 1, 2).float()))
        fused = fused_by(self.fusion, maps)
        if self.trunk is not None:
            hidden = functional.relu(self.trunk(fused))
        else:
            joined = self.backbone.decoder.joined(fused, self._n_maps)
            hidden = self.point_head.trunk(joined)
        surroundings = self.backbone.surroundings
        if isinstance(surroundings, Surroundings):
            projected = (
                surroundings.project(surroundings.coarse(joined))
                if self.project is None
                else self.project.means(fused, surroundings.coarse)
            )
            fused.append(surroundings.around(projected))
        return self.point_head.out(hidden).float(), *fused


class _SummedFusion(nn.Module):
    """A fusion block that adds convolutions of two maps, not convolves a join of them."""

    def __init__(self, block: FusionBlock) -> None:
        super().__init__()
        self._resized, self.refine = block.resized, block.refine
        whole = _folded(block.reduce)
        of_shallower = whole.out_channels
        of_deeper = whole.in_channels - of_shallower
        self.deeper = nn.Conv2d(of_deeper, of_shallower, 3, padding=1, bias=False)
        self.shallower = nn.Conv2d(of_shallower, of_shallower, 3, padding=1)
        with torch.no_grad():
            self.deeper.weight.copy_(whole.weight[:, :of_deeper])
            self.shallower.weight.copy_(whole.weight[:, of_deeper:])
        self.shallower.bias = whole.bias

    def forward(self, deeper: Tensor, shallower: Tensor) -> Tensor:
        """As :class:`FusionBlock`."""
        # In this order OpenVINO does the second convolution and the sum in one step.
        own = self.shallower(shallower)
        result: Tensor = self.refine(
            functional.relu(own + self.deeper(self._resized(deeper, shallower)))
        )
        return result


class _OfLevels(nn.Module):
    """A 1x1 convolution of the joined map, done for each level before it is resized."""

    def __init__(self, joined: nn.Conv2d, decoder: Decoder) -> None:
        super().__init__()
        projections = decoder.projections()
        # What reads fewer channels reads fewer maps, from the finest.
        weights = joined.weight.split(projections[0].out_channels, dim=1)
        # One of them adds the bias.
        biases = [joined.bias, *[None] * (len(weights) - 1)]
        self.parts = nn.ModuleList(map(_after, projections, weights, biases))
        self._resized, self._align_corners = decoder.resized, decoder.align_corners

    def forward(self, fused: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, h_i, w_i), shallow to deep, to (B, C, h_0, w_0)."""
        first, *others = self._convolved(fused)
        size = list(first.shape[-2:])
        return sum((self._resized(x, size) for x in others), start=first)

    def means(self, fused: Sequence[Tensor], coarse: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``coarse(self(fused))``, computed on smaller maps.

        Args:
            fused: The maps, as :meth:`forward` takes them.
            coarse: Takes means over the square cells of a grid.
        """
        own, *others = self._convolved([coarse(fused[0]), *fused[1:]])
        size, grid = list(fused[0].shape[-2:]), list(own.shape[-2:])
        means = own
        for x in others:
            # Bilinear resizing is linear within half a cell, so that the mean over a cell of a grid
            # twice as fine is the value in its middle. With align_corners cells do not coincide.
            direct = 2 * x.shape[-1] <= grid[-1] and not self._align_corners
            resized = self._resized(x, grid) if direct else coarse(self._resized(x, size))
            means = means + resized
        return means

    def _convolved(self, fused: Sequence[Tensor]) -> list[Tensor]:
        return [part(x) for part, x in zip(self.parts, fused[: len(self.parts)], strict=True)]


def _normalised(pixels: Tensor) -> Tensor:
    """What ``normalise`` does, of (1, 3, H, W) in 0..255 and in one multiplication."""
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return pixels * (1 / (255 * std)) - torch.tensor(MEAN).view(1, 3, 1, 1) / std


def _folded(layers: nn.Sequential) -> nn.Conv2d:
    """The convolution that a sequence begins with, with the batch norm that follows."""
    return fuse_conv_bn_eval(cast("nn.Conv2d", layers[0]), cast("nn.BatchNorm2d", layers[1]))


@torch.no_grad()
def _after(first: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """The 1x1 convolution that equals one by ``weight`` and ``bias`` after ``first``."""
    both = nn.Conv2d(first.in_channels, len(weight), 1)
    second = weight.flatten(1)
    both.weight.copy_((second @ first.weight.flatten(1))[:, :, None, None])
    assert both.bias is not None
    assert first.bias is not None
    both.bias.copy_(second @ first.bias + (0 if bias is None else bias))
    return both
