"""Centres and classes of nuclei from label masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage


def mask_centres(
    instances: npt.NDArray[np.integer],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Centres of mass of the instances of a mask.

    Args:
        instances: (H, W), 0 for background.

    Returns:
        (n,) the labels that occur, sorted, and (n, 2) x and y in pixels, origin at the corner of
        the first pixel.
    """
    labels = np.unique(instances)
    labels = labels[labels > 0].astype(np.int64)
    if len(labels) == 0:
        return labels, np.zeros((0, 2))
    centres = ndimage.center_of_mass(np.ones(instances.shape), instances, labels)
    # Pixel (0, 0) has its centre at (0.5, 0.5).
    return labels, np.asarray(centres)[:, ::-1] + 0.5


def majority(
    instances: npt.NDArray[np.integer],
    labels: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.integer],
) -> npt.NDArray[np.int64]:
    """The commonest kind above 0 among the pixels of each instance; 0 where there is none.

    Args:
        instances: (H, W), 0 for background.
        labels: (n,) labels to look at.
        kinds: (H, W), small numbers.
    """
    inside = instances > 0
    counts = np.zeros((int(instances.max(initial=0)) + 1, int(kinds.max(initial=0)) + 1), np.int64)
    np.add.at(counts, (instances[inside], kinds[inside]), 1)
    counts[:, 0] = 0
    result: npt.NDArray[np.int64] = counts[labels].argmax(axis=1).astype(np.int64)
    return result
