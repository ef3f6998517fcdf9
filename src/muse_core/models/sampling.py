"""A nucleus' feature: the dense map sampled bilinearly at the nucleus' coordinate."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sample_at_points(
    f_map: Tensor, xy: Tensor, size_px: tuple[int, int], align_corners: bool = False
) -> Tensor:
    """Sample feature maps at points of the images they came from.

    Args:
        f_map: (B, C, h, w) float, features of B images.
        xy: (B, N, 2) float, x and y in image pixels, origin at the corner of the first pixel.
        size_px: Height and width of the images in pixels.
        align_corners: False is geometrically exact. The released MUSE weights were trained with
            ``2 * xy / size - 1`` and align_corners=True, a half-pixel inconsistency that has to
            be kept for them.

    Returns:
        (B, N, C) float32. Points outside an image get the features of its border.
    """
    if xy.shape[1] == 0:
        return f_map.new_zeros((*xy.shape[:2], f_map.shape[1]), dtype=torch.float32)
    height, width = size_px
    scale = torch.tensor([2.0 / width, 2.0 / height], device=xy.device, dtype=torch.float32)
    sampled = functional.grid_sample(
        f_map.float(),
        (xy.float() * scale - 1.0).unsqueeze(2),
        mode="bilinear",
        padding_mode="border",
        align_corners=align_corners,
    )
    return sampled[..., 0].transpose(1, 2)
