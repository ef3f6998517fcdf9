"""Augmentation of views: stain, colour and blur, drawn for each view and applied on the device.

The values are drawn from the sample's own random generator, so that a sample looks the same
whichever process prepares it. Colour is altered by kornia.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from kornia.enhance import (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation_with_gray_subtraction,
)
from torch import Tensor

from muse_core.augment.blur import blur
from muse_core.augment.stain import apply_stain_change, stain_change
from muse_core.pretrain.config import AppearanceConfig


@dataclass(frozen=True, eq=False)
class Appearance:
    """Drawn alterations of the appearance of n views.

    Attributes:
        gain: (n, 3) factors on the stains.
        shift: (n, 3) added to the stains' densities.
        turn: (n, 3, 3) added to the stain vectors.
        colour: (n, 3) brightness added, factor of contrast, factor of saturation.
        blur_px: (n,) deviation of the blur; 0 leaves a view sharp.
    """

    gain: Tensor
    shift: Tensor
    turn: Tensor
    colour: Tensor
    blur_px: Tensor

    def to(self, device: torch.device) -> Appearance:
        """Return it on a device."""
        moved = (t.to(device, non_blocking=True) for t in vars(self).values())
        return Appearance(*moved)


def draw_appearance(config: AppearanceConfig, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Draw how one view is altered: (19,) values in the order of :class:`Appearance`."""
    low, high = np.log(config.stain_gain)
    gain = np.exp(rng.uniform(low, high, 3))
    shift = rng.uniform(-config.stain_shift, config.stain_shift, 3)
    turn = config.stain_turn * rng.standard_normal(9)
    reach = np.array([config.brightness, config.contrast, config.saturation])
    colour = np.array([0.0, 1.0, 1.0]) + rng.uniform(-reach, reach)
    blur = rng.uniform(*config.blur_px) * (rng.random() < config.blur_share)
    return np.concatenate([gain, shift, turn, colour, [blur]]).astype(np.float32)


def stack_appearances(appearances: Sequence[npt.NDArray[np.float32]]) -> Appearance:
    """Put drawn appearances together."""
    values = torch.from_numpy(np.stack(appearances))
    gain, shift, turn, colour, blur = values.split([3, 3, 9, 3, 1], dim=1)
    return Appearance(gain, shift, turn.unflatten(1, (3, 3)), colour, blur[:, 0])


def apply_appearance(images: Tensor, appearances: Appearance) -> Tensor:
    """Alter views.

    Args:
        images: (n, 3, H, W) float32, RGB in 0..1.
        appearances: Of the n views, on the same device.

    Returns:
        (n, 3, H, W) float32 in 0..1.
    """
    change = stain_change(appearances.gain, appearances.shift, appearances.turn)
    images = apply_stain_change(images, *change)
    brightness, contrast, saturation = appearances.colour.unbind(dim=1)
    images = adjust_brightness(images, brightness)
    images = adjust_contrast(images, contrast)
    images = adjust_saturation_with_gray_subtraction(images, saturation)
    return blur(images, appearances.blur_px).clamp(0, 1)
