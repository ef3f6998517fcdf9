"""Calibrate class probabilities by temperature scaling.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

_LIMIT = 2.0
"""Largest absolute value of the natural logarithm of the temperature."""
_PRIOR = 5.0
"""Strength of the prior towards 1, against overfitting a handful of examples."""


def temperature(
    logits: npt.NDArray[np.floating],
    classes: npt.NDArray[np.integer],
    weights: npt.NDArray[np.floating],
) -> float:
    """Return the temperature that logits are divided by.

    Args:
        logits: (n, K) of examples that were not learnt from.
        classes: (n,) the right ones.
        weights: (n,).
    """
    if not len(logits):
        return 1.0
    rows = np.arange(len(logits))

    def loss(log_t: float) -> float:
        log_p = log_softmax(logits / np.exp(log_t), axis=1)[rows, classes]
        return float(-(weights * log_p).sum() + _PRIOR * log_t**2)

    found = minimize_scalar(loss, bounds=(-_LIMIT, _LIMIT), method="bounded")
    return float(np.exp(found.x))
