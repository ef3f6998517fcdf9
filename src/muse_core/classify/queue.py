"""Order nuclei for review, those that the model is least sure of first. Imports no torch.

Source: uncertainty sampling, Settles, "Active Learning Literature Survey", 2009, section 3.1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DOUBT_KINDS = {
    "entropy": "the model wavers between all classes",
    "margin": "the model wavers between two classes",
    "disagreement": "nuclei that look alike have another class",
}
"""Measures of uncertainty, by their names in the annotation store, and what they mean."""


TEACHES = "teaches"
"""Order by :func:`muse_core.classify.relearn.asking.ask_next`, which is not kept in the store."""


def review_order(
    kind: str, doubt: npt.NDArray[np.float32], score: npt.NDArray[np.float32]
) -> npt.NDArray[np.intp]:
    """The order in which to look at N nuclei.

    Args:
        kind: One of :data:`DOUBT_KINDS`.
        doubt: (N,) value of that kind, NaN where it is unknown. A small margin is a great doubt.
        score: (N,) nucleus probability, 0 to 1; decides among those of equal or unknown doubt,
            which come last: the least likely first.

    Returns:
        (N,) indices, most doubtful first.
    """
    if kind not in DOUBT_KINDS:
        raise ValueError(f"{kind!r} is none of {', '.join(DOUBT_KINDS)}.")
    certainty = doubt.astype(np.float64) if kind == "margin" else -doubt.astype(np.float64)
    # NaN sorts last in either direction.
    return np.lexsort((score, certainty))
