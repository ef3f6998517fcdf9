"""Uncertainty of each nucleus, from the model's own probabilities.

Source: entropy and margin sampling, Settles, "Active Learning Literature Survey", 2009, section 3.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import entr

ENTROPY, MARGIN = 0, 1


def uncertainty(
    score: npt.NDArray[np.float32], class_probs: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Entropy and margin over background and the K classes.

    Args:
        score: (n,) nucleus probability, 0 to 1.
        class_probs: (n, K) probability of each class given a nucleus.

    Returns:
        (n, 2) float32: entropy, 0 (sure) to 1 (all K + 1 equally likely); margin between the two
        most likely, 0 (undecided) to 1 (sure).
    """
    nucleus = score.astype(np.float64).clip(0, 1)[:, None]
    joint = np.concatenate([1 - nucleus, nucleus * class_probs.astype(np.float64)], axis=1)
    entropy = entr(joint).sum(axis=1) / np.log(joint.shape[1])
    ordered = np.sort(joint, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    return np.stack([entropy, margin], axis=1).clip(0, 1).astype(np.float32)
