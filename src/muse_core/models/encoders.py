"""Encoders: an image in, four maps at strides 4, 8, 16 and 32 and one image vector out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from muse_core.errors import UserError
from muse_core.models.torchvision_shim import declare_missing_operators

declare_missing_operators()

import timm  # noqa: E402  (only importable once the operators are declared)

STRIDES = (4, 8, 16, 32)


class ConvEncoder(nn.Module):
    """Any ``features_only`` convolutional timm encoder with maps at strides 4, 8, 16, 32."""

    def __init__(self, name: str) -> None:
        super().__init__()
        # timm's networks have attributes of their own, which nn.Module's type does not know.
        network: Any
        try:
            network = timm.create_model(name, pretrained=False, features_only=True)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise UserError(f"timm has no features_only encoder {name!r}.") from error
        reductions = network.feature_info.reduction()
        if not set(STRIDES) <= set(reductions):
            raise UserError(f"Encoder {name!r} has no maps at strides 4, 8, 16 and 32.")
        self._picked = tuple(reductions.index(stride) for stride in STRIDES)
        self.network = network
        channels = network.feature_info.channels()
        self.channels: tuple[int, ...] = tuple(channels[i] for i in self._picked)

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Encode.

        Args:
            image: (B, 3, H, W) float, normalised; H and W multiples of 32.

        Returns:
            Four maps (B, C_i, H/s, W/s) and ``f_cls`` (B, C_3), the mean of the deepest map.
        """
        maps = self.network(image)
        picked = [maps[i] for i in self._picked]
        return picked, picked[-1].mean(dim=(2, 3))


class VitEncoder(nn.Module):
    """A timm ViT with variable input size, reassembled to a pyramid (paper, section "Backbone")."""

    def __init__(self, name: str, align_corners: bool) -> None:
        super().__init__()
        network: Any
        # num_classes=0 and dynamic_img_size: position embeddings follow the input's size.
        network = timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True)
        self.network = network
        depth, width = len(network.blocks), int(network.embed_dim)
        # Blocks 2, 5, 8, 11 of twelve, counted from 0: the last of each quarter.
        self._taken = [depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]
        self.channels: tuple[int, ...] = (width // 4, width // 2, width, 2 * width)
        self._scale = [network.patch_embed.patch_size[0] / stride for stride in STRIDES]
        self._align_corners = align_corners
        self.reassembly = nn.ModuleList(
            nn.Conv2d(width, out, kernel_size=1, bias=False) for out in self.channels
        )

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Encode; see :meth:`ConvEncoder.forward`. ``f_cls`` is the last block's CLS token."""
        network: Any = self.network
        taken = network.forward_intermediates(
            image,
            indices=self._taken,
            norm=True,
            return_prefix_tokens=True,
            intermediates_only=True,
        )
        maps = []
        for (tokens, _), project, scale in zip(taken, self.reassembly, self._scale, strict=True):
            projected = project(tokens)
            size = [round(side * scale) for side in projected.shape[-2:]]
            maps.append(resize(projected, size, self._align_corners))
        return maps, taken[-1][1][:, 0]


def build_encoder(name: str, align_corners: bool) -> ConvEncoder | VitEncoder:
    """Build an untrained encoder by its timm name.

    Raises:
        UserError: timm does not know the name, or the encoder does not fit.
    """
    if not timm.is_model(name):
        raise UserError(f"timm has no encoder {name!r}.")
    if name.startswith("vit_"):
        return VitEncoder(name, align_corners)
    return ConvEncoder(name)


def resize(x: Tensor, size: list[int], align_corners: bool) -> Tensor:
    """Resize a map (B, C, h, w) bilinearly; nothing is computed where the size fits already."""
    if list(x.shape[-2:]) == size:
        return x
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def normalise(image: Tensor) -> Tensor:
    """Bring (B, 3, H, W) from 0..1 to ImageNet's mean and deviation, which timm encoders expect."""
    mean = torch.tensor([0.485, 0.456, 0.406], device=image.device).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225], device=image.device).view(1, 3, 1, 1)
    return (image - mean) / std
