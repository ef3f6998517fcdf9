"""Order nuclei for review, those that the model is least sure of first. Imports no torch.

Source: uncertainty sampling, Settles, "Active Learning Literature Survey", 2009, section 3.1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

UNCERTAINTY_KINDS = {
    "entropy": "the model wavers between all classes",
    "margin": "the model wavers between two classes",
    "disagreement": "nuclei that look alike have another class",
}
"""Measures of uncertainty, by their names in the annotation store, and what they mean."""


TEACHES = "teaches"
"""Order by :func:`muse_core.classify.relearn.asking.ask_next`, which is not kept in the store."""


def review_order(
    kind: str, uncertainty: npt.NDArray[np.float32], score: npt.NDArray[np.float32]
) -> npt.NDArray[np.intp]:
    """The order in which to look at N nuclei.

    Args:
        kind: One of :data:`UNCERTAINTY_KINDS`.
        uncertainty: (N,) value of that kind, NaN where it is unknown. A small margin means a high
            uncertainty.
        score: (N,) nucleus probability, 0 to 1; among equal or unknown uncertainties the least
            likely comes first. Unknown ones come last.

    Returns:
        (N,) indices, most uncertain first.
    """
    if kind not in UNCERTAINTY_KINDS:
        raise ValueError(f"{kind!r} is none of {', '.join(UNCERTAINTY_KINDS)}.")
    values = uncertainty.astype(np.float64)
    certainty = values if kind == "margin" else -values
    # NaN sorts last in either direction.
    return np.lexsort((score, certainty))
