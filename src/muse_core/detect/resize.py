"""Bringing a whole image to a model's resolution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from muse_core.detect.config import ALIGN_PX
from muse_core.slides.mpp import require_fine

_WHITE = 255


def to_model_scale(
    rgb: npt.NDArray[np.uint8], mpp: float, model_mpp: float
) -> tuple[npt.NDArray[np.uint8], float, float]:
    """Resize an image to the model's MPP, antialiased, and pad it with white at right and bottom.

    Args:
        rgb: (H, W, 3) uint8.
        mpp: Microns per pixel of ``rgb``.
        model_mpp: Microns per pixel the model expects.

    Returns:
        The padded image, sides multiples of 32; and how many pixels of ``rgb`` one pixel of it is
        wide and high. These are the resize's own factors, which rounding to whole pixels moves
        away from ``model_mpp / mpp`` by a fraction of a percent.

    Raises:
        UserError: The image is far too coarse.
    """
    require_fine(mpp, model_mpp)
    height, width = rgb.shape[:2]
    new_w = max(1, round(width * mpp / model_mpp))
    new_h = max(1, round(height * mpp / model_mpp))
    if (new_w, new_h) != (width, height):
        # Pillow widens its kernel when it shrinks, which is the antialiasing.
        rgb = np.asarray(Image.fromarray(rgb).resize((new_w, new_h), Image.Resampling.BICUBIC))
    aligned = new_h + -new_h % ALIGN_PX, new_w + -new_w % ALIGN_PX
    return padded_to(rgb, aligned), width / new_w, height / new_h


def padded_to(rgb: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return an image with white at right and bottom, so that it has a height and width."""
    height, width = rgb.shape[:2]
    if (height, width) == size:
        return rgb
    padding = ((0, size[0] - height), (0, size[1] - width), (0, 0))
    return np.pad(rgb, padding, constant_values=_WHITE)
