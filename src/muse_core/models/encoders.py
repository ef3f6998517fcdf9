"""Encoders: an image in, four maps at strides 4, 8, 16 and 32 and one image vector out."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from muse_core.errors import UserError
from muse_core.models.compiler_shim import compiler_left_out
from muse_core.models.torchvision_shim import declare_missing_operators

with compiler_left_out():
    declare_missing_operators()
    # Only importable now.
    import timm
    from timm.layers import DropPath, PatchEmbed
    from timm.models.vision_transformer import VisionTransformer

STRIDES = (4, 8, 16, 32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's mean and deviation of red, green and blue in 0..1."""


class ConvEncoder(nn.Module):
    """Any ``features_only`` convolutional timm encoder with maps at strides 4, 8, 16, 32."""

    def __init__(
        self,
        name: str,
        stage_channels: tuple[int, ...] | None = None,
        strided_stem: bool = False,
    ) -> None:
        super().__init__()
        # timm's networks have attributes of their own, which nn.Module's type does not know.
        network: Any
        width: dict[str, Any] = {}
        if stage_channels is not None:
            if not name.startswith("resnet"):
                raise UserError(f"encoder_channels are for timm's ResNets, not for {name!r}.")
            # A ResNet's stem ends in twice its "width", which is what the first stage takes.
            width = {"channels": stage_channels, "stem_width": max(4, stage_channels[0] // 2)}
        if strided_stem and not name.startswith("resnet"):
            raise UserError(f"strided_stem is for timm's ResNets, not for {name!r}.")
        if strided_stem:
            width["stem_type"] = "deep"
        try:
            network = timm.create_model(name, pretrained=False, features_only=True, **width)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise UserError(f"timm has no features_only encoder {name!r}.") from error
        reductions = network.feature_info.reduction()
        if not set(STRIDES) <= set(reductions):
            raise UserError(f"Encoder {name!r} has no maps at strides 4, 8, 16 and 32.")
        if strided_stem:
            _shorten_stem(network)
        self._picked = tuple(reductions.index(stride) for stride in STRIDES)
        self.network = network
        channels = network.feature_info.channels()
        self.channels: tuple[int, ...] = tuple(channels[i] for i in self._picked)
        self.cls_channels = self.channels[-1]

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Encode.

        Args:
            image: (B, 3, H, W) float, normalised; H and W multiples of 16.

        Returns:
            Four maps (B, C_i, H/s, W/s) and ``f_cls`` (B, C_3), the mean of the deepest map.
        """
        maps = self.network(image)
        picked = [maps[i] for i in self._picked]
        return picked, picked[-1].mean(dim=(2, 3))


class VitEncoder(nn.Module):
    """A plain timm ViT, reassembled to a pyramid (paper, section "Backbone")."""

    def __init__(self, name: str, align_corners: bool, input_px: int | None = None) -> None:
        super().__init__()
        network: Any
        size: dict[str, Any] = {} if input_px is None else {"img_size": input_px}
        try:
            network = timm.create_model(name, pretrained=False, num_classes=0, **size)
        except (RuntimeError, TypeError, AssertionError) as error:
            raise UserError(f"Encoder {name!r} cannot be built: {error}.") from error
        if not _is_plain_vit(network):
            raise UserError(
                f"Encoder {name!r} is not a ViT of patches, one class token and blocks."
            )
        self.network = network
        depth, width = len(network.blocks), int(network.embed_dim)
        # Blocks 2, 5, 8, 11 of twelve, counted from 0: the last of each quarter.
        self._taken = [depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]
        self.channels: tuple[int, ...] = (width // 4, width // 2, width, 2 * width)
        self.cls_channels = width
        self._scale = [network.patch_embed.patch_size[0] / stride for stride in STRIDES]
        self._align_corners = align_corners
        self.reassembly = nn.ModuleList(
            nn.Conv2d(width, out, kernel_size=1, bias=False) for out in self.channels
        )

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Encode; see :meth:`ConvEncoder.forward`. ``f_cls`` is the last block's CLS token."""
        network: Any = self.network
        patches = network.patch_embed.proj(image)
        rows, columns = patches.shape[-2:]
        patches = patches.flatten(2).transpose(1, 2)
        class_token = network.cls_token.expand(len(patches), -1, -1)
        x = torch.cat([class_token, patches], dim=1)
        x = network.pos_drop(x + resize_position_embedding(network.pos_embed, rows, columns))
        taken = []
        for index, block in enumerate(network.blocks):
            x = block(x)
            if index in self._taken:
                taken.append(network.norm(x))
        maps = []
        for tokens, project, scale in zip(taken, self.reassembly, self._scale, strict=True):
            grid = tokens[:, 1:].transpose(1, 2).unflatten(2, (rows, columns))
            size = [int(side * scale) for side in (rows, columns)]
            maps.append(resize(project(grid), size, self._align_corners))
        return maps, taken[-1][:, 0]

    def drop_blocks(self, rate: float) -> None:
        """Leave out blocks at random in training (stochastic depth, Huang et al., ECCV 2016).

        Args:
            rate: How often the last block adds nothing to an image; the first always does, and the
                rates between rise evenly. Weights and their names stay.
        """
        blocks: Any = self.network.blocks
        rates = torch.linspace(0, rate, len(blocks)).tolist()
        for block, share in zip(blocks, rates, strict=True):
            block.drop_path1, block.drop_path2 = DropPath(share), DropPath(share)


def resize_position_embedding(stored: Tensor, rows: int, columns: int) -> Tensor:
    """Position embeddings for a grid of patches, bicubically from the square one stored.

    DINO's resizing, which MUSE was trained with: its 0.1 guards the output's size against rounding
    and stretches the sampling a little.

    Args:
        stored: (1, 1 + n * n, C), that of the class token first.
        rows: Patches from top to bottom.
        columns: Patches from left to right.

    Returns:
        (1, 1 + rows * columns, C); as stored where the grid is that of the stored ones.
    """
    side = math.isqrt(stored.shape[1] - 1)
    if (rows, columns) == (side, side):
        return stored
    grid = stored[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    resized = functional.interpolate(
        grid, scale_factor=((rows + 0.1) / side, (columns + 0.1) / side), mode="bicubic"
    )
    return torch.cat([stored[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


def _is_plain_vit(network: Any) -> bool:
    return (
        isinstance(network, VisionTransformer)
        and isinstance(network.patch_embed, PatchEmbed)
        and isinstance(network.norm_pre, nn.Identity)
        and network.num_prefix_tokens == 1
        and network.pos_embed is not None
        and network.pos_embed.shape[1] == network.patch_embed.num_patches + 1
        and len(set(network.patch_embed.grid_size)) == 1
    )


def build_encoder(
    name: str,
    align_corners: bool,
    input_px: int | None = None,
    stage_channels: tuple[int, ...] | None = None,
    strided_stem: bool = False,
) -> ConvEncoder | VitEncoder:
    """Build an untrained encoder by its timm name.

    Args:
        name: timm name.
        align_corners: See BackboneConfig.
        input_px: See BackboneConfig; of no meaning to a convolutional encoder.
        stage_channels: ``encoder_channels`` of BackboneConfig.
        strided_stem: See BackboneConfig.

    Raises:
        UserError: timm does not know the name, or the encoder does not fit.
    """
    if not timm.is_model(name):
        raise UserError(f"timm has no encoder {name!r}.")
    if name.startswith("vit_"):
        if stage_channels is not None or strided_stem:
            raise UserError("encoder_channels and strided_stem are for timm's ResNets, not a ViT.")
        return VitEncoder(name, align_corners, input_px)
    return ConvEncoder(name, stage_channels, strided_stem)


def _shorten_stem(network: Any) -> None:
    """Leave out the second of the stem's convolutions; the third takes the max pool's stride."""
    first, norm, activation, *_, last = network.conv1
    last.stride = (2, 2)
    network.conv1 = nn.Sequential(first, norm, activation, last)
    network.maxpool = nn.Identity()


def resize(x: Tensor, size: list[int], align_corners: bool) -> Tensor:
    """Resize a map (B, C, h, w) bilinearly; nothing is computed where the size fits already."""
    if list(x.shape[-2:]) == size:
        return x
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def normalise(image: Tensor) -> Tensor:
    """Bring (B, 3, H, W) from 0..1 to ImageNet's mean and deviation, which timm encoders expect."""
    mean = torch.tensor(MEAN, device=image.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=image.device).view(1, 3, 1, 1)
    return (image - mean) / std
