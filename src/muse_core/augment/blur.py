"""Blur of some images of a batch, each by its own deviation; the filter is kornia's."""

from __future__ import annotations

from kornia.filters import gaussian_blur2d
from torch import Tensor

_KERNEL_PX = 9


def blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """Blur images.

    Args:
        images: (n, C, H, W) float.
        sigma_px: (n,) float, deviation of the Gaussian; 0 leaves an image as it is.

    Returns:
        (n, C, H, W).
    """
    chosen = (sigma_px > 0).nonzero()[:, 0]
    if not len(chosen):
        return images
    width = sigma_px[chosen].to(images)[:, None].expand(-1, 2)
    chosen = chosen.to(images.device)
    blurred = images.clone()
    blurred[chosen] = gaussian_blur2d(images[chosen], _KERNEL_PX, width)
    return blurred
