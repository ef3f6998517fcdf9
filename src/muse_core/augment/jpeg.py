"""JPEG compression as an augmentation; the codec is Pillow's."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

_FULL_COLOUR, _HALVED_COLOUR = 0, 2
"""Pillow's names of 4:4:4 and 4:2:0."""


def compress(rgb: npt.NDArray[np.uint8], quality: int, halve_colour: bool) -> npt.NDArray[np.uint8]:
    """Compress and decompress an image.

    Args:
        rgb: (H, W, 3) uint8.
        quality: 1 to 100, as libjpeg counts it.
        halve_colour: Whether colour has half the resolution of brightness (4:2:0), as most scanners
            store it.

    Returns:
        (H, W, 3) uint8.
    """
    buffer = io.BytesIO()
    subsampling = _HALVED_COLOUR if halve_colour else _FULL_COLOUR
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return np.array(Image.open(buffer))
