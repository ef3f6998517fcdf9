"""Match rows of features to nuclei by their positions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from muse_core.nuclei.table import ONE_PLACE_PX

_PER_PX = 1000
"""Jobs send positions in thousandths of a pixel."""
_SPAN = 1 << 31


def rows_at(places: npt.NDArray[np.float64], xy: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The row of each nucleus: the one at its position, else the nearest within half a pixel.

    Args:
        places: (R, 2) of the rows; of several at one place the last counts.
        xy: (N, 2) of the nuclei.

    Returns:
        (N,) rows; -1 where there is none.
    """
    found = np.full(len(xy), -1, np.int64)
    if not len(places) or not len(xy):
        return found
    keys = _keys(places)
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    wanted = _keys(xy)
    # In sorted order each search ends near the last one: far fewer cache misses than at random.
    turn = np.argsort(wanted)
    # The last of equal keys; the stable order keeps them as they were written.
    at = np.empty(len(wanted), np.int64)
    at[turn] = np.searchsorted(in_order, wanted[turn], side="right") - 1
    exact = (at >= 0) & (in_order[at] == wanted)
    found[exact] = order[at[exact]]
    others = np.flatnonzero(~exact)
    if len(others):
        distance, near = cKDTree(places).query(xy[others], distance_upper_bound=ONE_PLACE_PX)
        close = np.isfinite(distance)
        found[others[close]] = near[close]
    return found


def _keys(xy: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    thousandths = np.rint(np.clip(np.asarray(xy) * _PER_PX, -_SPAN / 2, _SPAN / 2 - 1))
    whole = thousandths.astype(np.int64) + _SPAN // 2
    return np.asarray(whole[:, 0] * _SPAN + whole[:, 1])
