"""What scanners and stains do to a view: stain, blur, noise; whole batches, on any device.

The stain jitter is the field's own (Tellez et al., "Quantifying the
effects of data augmentation and stain color normalization", Medical Image Analysis 2019).
"""

from __future__ import annotations

import torch
from torch import Tensor

from muse_core.augment.blur import blur
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
    images = _blur_some(images, config, generator)
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


def _blur_some(images: Tensor, config: ViewConfig, generator: torch.Generator) -> Tensor:
    n = len(images)
    chosen = torch.rand(n, generator=generator) < config.blur_share
    sigma = _uniform(generator, n, *config.blur_px)
    return blur(images, sigma * chosen)


def _uniform(generator: torch.Generator, n: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator)


def _log(value: float) -> float:
    return float(torch.log(torch.tensor(value)))
