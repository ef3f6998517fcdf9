"""Simulate a coarser scan: reduce an image and enlarge it again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image


def shrink_and_enlarge(rgb: npt.NDArray[np.uint8], factor: float) -> npt.NDArray[np.uint8]:
    """Shrink an image, antialiased, and bring it back to its size.

    Args:
        rgb: (H, W, 3) uint8.
        factor: By how much it is shrunk, at least 1.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = rgb.shape[:2]
    small = max(1, round(width / factor)), max(1, round(height / factor))
    shrunk = Image.fromarray(rgb).resize(small, Image.Resampling.BICUBIC)
    return np.array(shrunk.resize((width, height), Image.Resampling.BICUBIC))
