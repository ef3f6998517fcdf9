"""Masks of the known area in images whose nuclei are not exhaustively annotated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

ANNOTATION_REACH_UM = 4.0
"""Radius around an annotated nucleus within which all is known: that of a nucleus, so that the
anchors around the matched one learn not to report it a second time."""


def known_around(
    xy: npt.NDArray[np.float32], shape: tuple[int, int], mpp: float
) -> npt.NDArray[np.bool_]:
    """The pixels within :data:`ANNOTATION_REACH_UM` of an annotated nucleus.

    Args:
        xy: (N, 2) pixels, origin at the corner of the first pixel.
        shape: Height and width.
        mpp: Microns per pixel.

    Returns:
        (H, W) bool.
    """
    height, width = shape
    away = np.ones(shape, dtype=bool)
    columns, rows = np.floor(xy).astype(int).reshape(-1, 2).T
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    away[rows[inside], columns[inside]] = False
    if away.all():
        return ~away
    return np.asarray(distance_transform_edt(away) * mpp <= ANNOTATION_REACH_UM)


def pixels_near(
    xy: npt.NDArray[np.floating], radius_px: float, shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """The pixels whose centres lie within a radius of a point.

    Args:
        xy: (N, 2) pixels, origin at the corner of the first pixel; points may lie outside.
        radius_px: The radius.
        shape: Height and width.

    Returns:
        (H, W) bool.
    """
    near = np.zeros(shape, dtype=bool)
    reach = int(np.ceil(radius_px))
    for x, y in xy:
        columns = pixel_range(x - reach - 1, x + reach + 1, shape[1])
        rows = pixel_range(y - reach - 1, y + reach + 1, shape[0])
        distance = np.hypot(columns[None, :] + 0.5 - x, rows[:, None] + 0.5 - y)
        near[rows[:, None], columns[None, :]] |= distance <= radius_px
    return near


def pixel_range(start: float, stop: float, size: int) -> npt.NDArray[np.int64]:
    """Indices of the pixels along an axis that overlap the interval from start to stop."""
    low, high = max(0, int(np.floor(start))), min(size, int(np.ceil(stop)))
    return np.arange(low, max(low, high))
