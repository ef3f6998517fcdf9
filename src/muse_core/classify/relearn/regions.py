"""Weights and cross-validation folds of corrections by their positions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def region_weights(
    xy: npt.NDArray[np.floating], side_px: float, power: float
) -> npt.NDArray[np.float64]:
    """Return the weights of corrections, so that many in one place do not outweigh the rest.

    Args:
        xy: (n, 2) level-0 pixels.
        side_px: Side of the squares of the grid.
        power: A correction weighs its square's number of corrections to minus this.

    Returns:
        (n,) 0 to 1; one that is alone in its square weighs 1.
    """
    if not len(xy):
        return np.zeros(0)
    squares = np.floor(np.asarray(xy, np.float64) / side_px).astype(np.int64)
    _, square, count = np.unique(squares, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(count[square.ravel()].astype(np.float64) ** -power)


def region_folds(xy: npt.NDArray[np.floating], folds: int) -> npt.NDArray[np.int64]:
    """Part corrections into regions of nearly equal numbers, each in one piece.

    The largest part is halved along its longer side until there are enough, so that test and
    training nuclei lie in different regions.

    Args:
        xy: (n, 2).
        folds: How many; with fewer corrections each is one of its own.

    Returns:
        (n,) number of the part, from 0.
    """
    parts = [np.arange(len(xy))]
    while len(parts) < min(folds, len(xy)):
        parts.sort(key=len)
        largest = parts.pop()
        extent = np.ptp(xy[largest], axis=0)
        order = largest[np.argsort(xy[largest, int(extent[1] > extent[0])], kind="stable")]
        parts += [order[: len(order) // 2], order[len(order) // 2 :]]
    fold = np.zeros(len(xy), np.int64)
    for number, part in enumerate(parts):
        fold[part] = number
    return fold
