"""Remove duplicate proposals of a nucleus. No torch here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from muse_core.neighbours import pairs_within, repeated

# Two nuclei closer than this are one nucleus seen twice: a lymphocyte is about 6 um across.
DUPLICATE_RADIUS_UM = 2.0


def first_of_duplicates(xy: npt.NDArray[np.float32], radius_px: float) -> npt.NDArray[np.int64]:
    """Greedy point non-maximum suppression: indices of points without a better one nearby.

    Args:
        xy: (n, 2), best first.
        radius_px: Distance up to which two points count as the same.

    Returns:
        (m,) sorted indices.
    """
    return np.flatnonzero(~repeated(pairs_within(xy, radius_px), len(xy)))
