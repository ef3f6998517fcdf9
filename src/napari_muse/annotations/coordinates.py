"""The one place where slide coordinates become napari's and back.

Slides count level-0 pixels from the corner of the first pixel, x before y. napari's layer data
count from the first pixel's centre, y before x; its world is that times the layer's scale.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
_HALF_PIXEL = 0.5


def to_layer(x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
    """Level-0 x and y, (N,) each, to layer data (N, 2) in the order y, x."""
    stacked = np.stack([np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)], axis=-1)
    return stacked - _HALF_PIXEL


def from_layer(data: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Layer data (N, 2) in the order y, x to level-0 x and y, (N,) each."""
    points = np.asarray(data, dtype=np.float64).reshape(-1, 2) + _HALF_PIXEL
    return points[:, 1], points[:, 0]


def from_world(world: npt.ArrayLike, um_per_px: float) -> tuple[FloatArray, FloatArray]:
    """World coordinates (N, 2) in the order y, x to level-0 x and y, (N,) each.

    Args:
        world: Points in the viewer's world, of which only the last two axes count.
        um_per_px: The scale of the slide's layer: its MPP, or 1 while that is unknown.
    """
    points = np.atleast_2d(np.asarray(world, dtype=np.float64))[:, -2:]
    return from_layer(points / um_per_px)
