"""Neighbour searches among points; all k-d trees are built here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Points = npt.NDArray[np.floating[Any]]


def near_any(xy: Points, others: Points, distance: float) -> npt.NDArray[np.bool_]:
    """Return which points (N,) have another one within a distance, inclusive.

    Args:
        xy: (N, 2).
        others: (M, 2), same units.
        distance: Largest distance, same units.
    """
    if not len(xy) or not len(others):
        return np.zeros(len(xy), dtype=bool)
    # The bound of the search is exclusive, and only spares looking further.
    nearest, _ = _tree(others).query(xy, distance_upper_bound=distance * 1.001 + 1e-9)
    return np.asarray(nearest <= distance)


def pairs_within(xy: Points, distance: float) -> npt.NDArray[np.int64]:
    """Return all pairs of points within a distance, inclusive.

    Args:
        xy: (N, 2).
        distance: Largest distance, same units.

    Returns:
        (P, 2) indices, the lower of each pair first; pairs in no order.
    """
    if not len(xy):
        return np.zeros((0, 2), dtype=np.int64)
    pairs: npt.NDArray[np.int64] = _tree(xy).query_pairs(distance, output_type="ndarray")
    return pairs


def distances_between(xy: Points, others: Points, distance: float) -> npt.NDArray[Any]:
    """Return all pairs of a point and another one within a distance, inclusive.

    Args:
        xy: (N, 2).
        others: (M, 2), same units.
        distance: Largest distance, same units.

    Returns:
        (P,) structured array: ``i`` of ``xy``, ``j`` of ``others``, distance ``v``; in no order.
    """
    pairs: npt.NDArray[Any] = _tree(xy).sparse_distance_matrix(
        _tree(others), distance, output_type="ndarray"
    )
    return pairs


def repeated(pairs: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.bool_]:
    """Return which of n points (n,) repeat an earlier one that is not itself repeated.

    Args:
        pairs: (P, 2) indices of points that are the same, the lower first, as
            :func:`pairs_within` gives them.
        n: Number of points.
    """
    drop = np.zeros(n, dtype=bool)
    # By the earlier of each pair: when it is looked at, whether it stays is settled, so that of a
    # chain every second one may stay.
    for first, second in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].tolist():
        if not drop[first]:
            drop[second] = True
    return drop


def _tree(xy: Points) -> cKDTree:
    """Return the k-d tree of points (N, 2)."""
    # Loading it takes a quarter of a second, which a process that only reads nuclei can spare.
    from scipy.spatial import cKDTree

    return cKDTree(xy)
