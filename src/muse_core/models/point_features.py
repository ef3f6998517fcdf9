"""Features of nuclei in a batch of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from muse_core.models.backbone import SIDE_MULTIPLE_PX, MuseBackbone

_WHITE = 255


def features_at_points(
    backbone: MuseBackbone, images: Tensor, xy: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Features of the nuclei of each image; gradients flow where they are enabled.

    Args:
        backbone: The network, on the device of ``images``.
        images: (B, 3, H, W) float, RGB in 0..1; H and W multiples of 16.
        xy: For each image (n, 2) float, x and y in its pixels.

    Returns:
        For each image (n, out_channels) float32.
    """
    f_map, _ = backbone(images)
    padded = pad_sequence([points.to(f_map.device) for points in xy], batch_first=True)
    sampled = backbone.sample(f_map, padded, (images.shape[-2], images.shape[-1]))
    return tuple(rows[: len(points)] for rows, points in zip(sampled, xy, strict=True))


def features_by_image(
    backbone: MuseBackbone, f_map: Tensor, image: Tensor, xy: Tensor, size_px: tuple[int, int]
) -> tuple[Tensor, ...]:
    """Features of points that are unevenly distributed over the images of a batch.

    Args:
        backbone: The network.
        f_map: (B, C, h, w), its features of the images.
        image: (P,) int64, the image of each point, in ascending order.
        xy: (P, 2) float, pixels.
        size_px: H and W of the images.

    Returns:
        For each image (n, C) float32; one after the other they are in the order of the points.
    """
    return tuple(
        backbone.sample(f_map[b : b + 1], xy[image == b][None], size_px)[0]
        for b in range(len(f_map))
    )


def image_batch(images: Sequence[npt.NDArray[np.uint8]], device: torch.device) -> Tensor:
    """Stack (H, W, 3) uint8 images of one size to (B, 3, H, W) float32 in 0..1.

    Images are padded with white at right and bottom to multiples of 16.
    """
    height, width = images[0].shape[:2]
    padding = ((0, 0), (0, -height % SIDE_MULTIPLE_PX), (0, -width % SIDE_MULTIPLE_PX), (0, 0))
    stacked = np.pad(np.stack(images), padding, constant_values=_WHITE)
    return torch.from_numpy(stacked).to(device).permute(0, 3, 1, 2).float().div_(255)
