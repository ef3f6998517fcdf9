"""Which nuclei to ask a person about next: doubtful ones that are unlike each other.

Source: uncertainty times distance to what is known, greedily, after Settles, "Active Learning
Literature Survey", 2009, section 3 and Sener and Savarese, "Active Learning for Convolutional
Neural Networks: A Core-Set Approach", ICLR 2018.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from muse_core.classify.relearn.nearest import unit_length

_POOL = 1000
"""Of the most doubtful, so many are compared with each other."""
_MOST_KNOWN = 500


def ask_next(
    features: npt.NDArray[np.floating],
    doubt: npt.NDArray[np.floating],
    known: npt.NDArray[np.floating],
    count: int,
) -> npt.NDArray[np.int64]:
    """The order in which to ask about N nuclei.

    Args:
        features: (N, D) standardised.
        doubt: (N,) 0 (sure) to 1.
        known: (m, D) of nuclei whose class is settled.
        count: How many at the front are to be unlike each other; the rest follow by doubt.

    Returns:
        (N,) indices.
    """
    by_doubt = np.argsort(-doubt, kind="stable")
    pool = by_doubt[: min(_POOL, len(by_doubt))]
    unit = unit_length(features[pool])
    distance = np.full(len(pool), 2.0, np.float32)
    if len(known):
        some = known[np.unique(np.linspace(0, len(known) - 1, _MOST_KNOWN).astype(np.int64))]
        distance = 1 - (unit @ unit_length(some).T).max(axis=1)
    chosen: list[int] = []
    for _ in range(min(count, len(pool))):
        worth = doubt[pool] * distance
        worth[chosen] = -np.inf
        best = int(worth.argmax())
        chosen.append(best)
        distance = np.minimum(distance, 1 - unit @ unit[best])
    first = pool[chosen]
    return np.concatenate([first, by_doubt[~np.isin(by_doubt, first)]])
