"""Share of a nucleus' most similar nuclei that have another class. Imports no torch.

Source: the idea of query by committee, with the nearest neighbours in feature space as committee;
Settles, "Active Learning Literature Survey", 2009, section 3.2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BLOCK_ROWS = 2048
_TEMPERATURE = 0.07


def neighbour_disagreement(
    features: npt.NDArray[np.floating],
    class_index: npt.NDArray[np.integer],
    neighbours: int = 15,
    reference: int = 20_000,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Share of a nucleus' neighbours in feature space that have another class.

    Votes are weighted by exp(cosine similarity / 0.07), as in the kNN probe.

    Args:
        features: (N, D), any scale; they are brought to unit length.
        class_index: (N,) class of each nucleus.
        neighbours: How many vote.
        reference: At most so many nuclei are candidates for neighbours, drawn at random, so that
            time grows with N and not with its square.
        seed: Of the draw.

    Returns:
        (N,) float32, 0 (all agree) to 1; NaN where there is no other nucleus.
    """
    n = len(features)
    unit = features.astype(np.float32)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    rng = np.random.default_rng(seed)
    pool = np.sort(rng.choice(n, min(reference, n), replace=False))
    k = min(neighbours, len(pool) - 1)
    found = np.full(n, np.nan, dtype=np.float32)
    if k < 1:
        return found
    for start in range(0, n, _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, n))
        similarity = unit[rows] @ unit[pool].T
        # A nucleus is no neighbour of its own.
        similarity[rows[:, None] == pool[None, :]] = -np.inf
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(similarity, nearest, axis=1)
        weight = np.exp((near - near.max(axis=1, keepdims=True)) / _TEMPERATURE)
        other = class_index[pool][nearest] != class_index[rows][:, None]
        found[rows] = (weight * other).sum(axis=1) / weight.sum(axis=1)
    return found
