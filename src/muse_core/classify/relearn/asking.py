"""Choose the nuclei to ask a person about next: uncertain ones that are unlike each other.

Source: uncertainty sampling, Settles, "Active Learning Literature Survey", 2009, section 3.1. Of
the most uncertain candidates the one least similar to those asked before is taken, so that a
handful of corrections does not go to nuclei that look alike. Adding the distance to labelled nuclei
made it worse on CoNSeP, because that selects outliers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from muse_core.classify.relearn.nearest import unit_length

_WINDOW = 30


def ask_next(
    features: npt.NDArray[np.floating], uncertainty: npt.NDArray[np.floating], count: int
) -> npt.NDArray[np.int64]:
    """The order in which to ask about N nuclei.

    Args:
        features: (N, D) standardised.
        uncertainty: (N,) 0 (certain) to 1.
        count: How many at the front are to be unlike each other; the rest follow by uncertainty.

    Returns:
        (N,) indices.
    """
    by_uncertainty = np.argsort(-uncertainty, kind="stable")
    first = min(count, len(by_uncertainty))
    pool = by_uncertainty[: first + _WINDOW]
    unit = unit_length(features[pool])
    distance = np.ones(len(pool), np.float32)
    waiting = list(range(len(pool)))
    chosen: list[int] = []
    for _ in range(first):
        window = np.array(waiting[:_WINDOW])
        best = int(window[(uncertainty[pool[window]] * distance[window]).argmax()])
        waiting.remove(best)
        chosen.append(best)
        distance = np.minimum(distance, 1 - unit @ unit[best])
    asked = pool[chosen]
    return np.concatenate([asked, by_uncertainty[~np.isin(by_uncertainty, asked)]])
