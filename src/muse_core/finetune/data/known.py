"""Mask of known background in images where not every nucleus is annotated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

ANNOTATION_REACH_UM = 4.0
"""Around an annotated nucleus all is known: about a nucleus' radius, so that the anchors beside the
matched one learn not to report it again, and another nucleus hardly lies within."""


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
