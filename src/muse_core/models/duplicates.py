"""One nucleus proposed twice. No torch here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

# Two nuclei closer than this are one nucleus seen twice: a lymphocyte is about 6 um across.
DUPLICATE_RADIUS_UM = 2.0


def first_of_duplicates(xy: npt.NDArray[np.float32], radius_px: float) -> npt.NDArray[np.int64]:
    """Indices of the points that no better one lies within ``radius_px`` of, greedily.

    Args:
        xy: (n, 2), best first.
        radius_px: Distance up to which two points count as the same.

    Returns:
        (m,) sorted indices.
    """
    if len(xy) == 0:
        return np.zeros(0, dtype=np.int64)
    pairs = cKDTree(xy).query_pairs(radius_px, output_type="ndarray")
    kept = np.ones(len(xy), dtype=bool)
    # Sorted by the better of the two: when a pair is looked at, the better one's fate is settled.
    for better, worse in pairs[np.argsort(pairs[:, 0], kind="stable")]:
        if kept[better]:
            kept[worse] = False
    return np.flatnonzero(kept)
