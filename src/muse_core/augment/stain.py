"""Stain jitter in optical density.

Source: Tellez et al., "Quantifying the effects of data augmentation and stain color
normalization", Medical Image Analysis 2019.
"""

from __future__ import annotations

import torch
from skimage.color import rgb_from_hed
from torch import Tensor
from torch.nn import functional

_DARKEST = 1.0 / 255.0


def stain_change(gain: Tensor, shift: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map of optical density that scales, shifts and turns the stains.

    Args:
        gain: (n, 3) factors on haematoxylin, eosin and the residual.
        shift: (n, 3) what is added to each stain's density.
        turn: (n, 3, 3) what is added to the unit stain vectors, which are rows, before they are
            brought back to unit length.

    Returns:
        Matrix (n, 3, 3) and offset (n, 3) for :func:`apply_stain_change`.
    """
    # Rows are the stains' RGB absorptions (Ruifrok and Johnston 2001).
    stains = functional.normalize(torch.from_numpy(rgb_from_hed).to(gain), dim=1)
    turned = functional.normalize(stains + turn, dim=2)
    mix = torch.linalg.inv(stains) @ torch.diag_embed(gain) @ turned
    return mix, torch.einsum("bi,bij->bj", shift, turned)


def apply_stain_change(images: Tensor, mix: Tensor, offset: Tensor) -> Tensor:
    """Change the stains of images.

    Args:
        images: (n, 3, H, W) float, RGB in 0..1.
        mix: (n, 3, 3) from :func:`stain_change`.
        offset: (n, 3) from :func:`stain_change`.

    Returns:
        (n, 3, H, W) in 0..1.
    """
    density = -torch.log(images.clamp_min(_DARKEST))
    mixed = torch.einsum("bchw,bcd->bdhw", density, mix.to(images))
    return torch.exp(-(mixed + offset.to(images)[:, :, None, None])).clamp(0, 1)
