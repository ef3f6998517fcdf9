"""Augmentations of a view that imitate scanners and stains.

Stain, colour, blur and noise are applied to whole batches, on any device; lower resolution and JPEG
compression to single views, on the CPU.

The stain jitter follows Tellez et al., "Quantifying the effects of data augmentation and stain
color normalization", Medical Image Analysis 2019.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from muse_core.augment.blur import blur
from muse_core.augment.coarse import shrink_and_enlarge
from muse_core.augment.jpeg import compress
from muse_core.augment.stain import apply_stain_change, stain_change
from muse_core.finetune.config import ViewConfig


def alter_appearance(images: Tensor, config: ViewConfig, generator: torch.Generator) -> Tensor:
    """Alter stain, sharpness and noise of each image at random.

    Args:
        images: (B, 3, H, W) float32, RGB in 0..1.
        config: Strengths.
        generator: Source of randomness, on the CPU.

    Returns:
        (B, 3, H, W) float32 in 0..1.
    """
    images = jitter_stain(images, config, generator)
    if config.brightness or config.contrast:
        images = jitter_colour(images, config, generator)
    images = _blur_some(images, config, generator)
    if config.sharpen_share:
        images = sharpen_some(images, config, generator)
    strength = config.noise * _uniform(generator, len(images), 0.0, 1.0).to(images.device)
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    return (images + strength.view(-1, 1, 1, 1) * noise).clamp(0, 1)


def jitter_stain(images: Tensor, config: ViewConfig, generator: torch.Generator) -> Tensor:
    """Scale and shift the optical density of each stain and turn the stain vectors a little.

    Args:
        images: (B, 3, H, W) float32, RGB in 0..1.
        config: ``stain_gain``, ``stain_shift`` and ``stain_vector_noise``.
        generator: Source of randomness, on the CPU.
    """
    n = len(images)
    low, high = config.stain_gain
    gain = torch.exp(_uniform(generator, 3 * n, _log(low), _log(high))).view(n, 3)
    shift = _uniform(generator, 3 * n, -config.stain_shift, config.stain_shift).view(n, 3)
    turn = config.stain_vector_noise * torch.randn(n, 3, 3, generator=generator)
    return apply_stain_change(images, *stain_change(gain, shift, turn))


def jitter_colour(images: Tensor, config: ViewConfig, generator: torch.Generator) -> Tensor:
    """Change brightness, of each colour and of all, and contrast, as light and cameras do.

    Args:
        images: (B, 3, H, W) float32, RGB in 0..1.
        config: ``brightness`` and ``contrast``.
        generator: Source of randomness, on the CPU.
    """
    n = len(images)
    each = _uniform(generator, 3 * n, -config.brightness, config.brightness).view(n, 3)
    together = _uniform(generator, n, -config.brightness, config.brightness).view(n, 1)
    contrast = 1 + _uniform(generator, n, -config.contrast, config.contrast).view(n, 1)
    mean = images.mean(dim=(2, 3))
    gain = ((1 + each) * (1 + together)).to(images)
    slope = gain * contrast.to(images)
    shift = mean * gain - mean * slope
    return (images * slope[:, :, None, None] + shift[:, :, None, None]).clamp(0, 1)


def alter_storage(image: Tensor, config: ViewConfig, rng: np.random.Generator) -> Tensor:
    """Make a view coarser, and compress it, at random.

    Args:
        image: (3, H, W) float32, RGB in 0..1.
        config: ``coarse_share``, ``coarse``, ``jpeg_share`` and ``jpeg_quality``.
        rng: Source of randomness; each call draws the same number of values.

    Returns:
        (3, H, W) float32 in 0..1.
    """
    coarse, compressed, halved = rng.random(3)
    factor = np.exp(rng.uniform(*np.log(config.coarse)))
    quality = int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1))
    if coarse >= config.coarse_share and compressed >= config.jpeg_share:
        return image
    rgb = (image * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    if coarse < config.coarse_share:
        rgb = shrink_and_enlarge(rgb, factor)
    if compressed < config.jpeg_share:
        rgb = compress(rgb, quality, bool(halved < 0.5))
    return torch.from_numpy(rgb).permute(2, 0, 1).float().div_(255)


def _blur_some(images: Tensor, config: ViewConfig, generator: torch.Generator) -> Tensor:
    return blur(images, _sigma_of_some(generator, len(images), config.blur_share, config.blur_px))


def sharpen_some(images: Tensor, config: ViewConfig, generator: torch.Generator) -> Tensor:
    """Apply unsharp masking, as scanners do to different degrees, to some images.

    Args:
        images: (B, 3, H, W) float32, RGB in 0..1.
        config: ``sharpen``, ``sharpen_px`` and ``sharpen_share``.
        generator: Source of randomness, on the CPU.
    """
    n = len(images)
    sigma = _sigma_of_some(generator, n, config.sharpen_share, config.sharpen_px)
    amount = _uniform(generator, n, *config.sharpen).to(images)
    detail = images - blur(images, sigma)
    return (images + amount.view(-1, 1, 1, 1) * detail).clamp(0, 1)


def _sigma_of_some(
    generator: torch.Generator, n: int, share: float, range_px: tuple[float, float]
) -> Tensor:
    """Random deviations for n images; 0 for those that are not to be filtered."""
    chosen = torch.rand(n, generator=generator) < share
    return _uniform(generator, n, *range_px) * chosen


def _uniform(generator: torch.Generator, n: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator)


def _log(value: float) -> float:
    return float(torch.log(torch.tensor(value)))
