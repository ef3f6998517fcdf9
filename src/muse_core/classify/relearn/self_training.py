"""Let nuclei that nobody has looked at teach as well, where what is learnt is sure of them.

A few corrections say little of where a slide's classes part; what they make sure of its other
nuclei draws the border through where few of these lie. Source: self-training, e.g. Lee,
"Pseudo-Label", ICML Workshop 2013. Their part is a multiple of what the corrections weigh, so that
without any nothing moves, up to a limit, so that many corrections outweigh it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from muse_core.array_types import FloatArray
from muse_core.classify.relearn.logistic import LinearChange, fit_change

_ROUNDS = 2
_TOLERANCE = 1e-4
"""Of the rounds; logits differ by a thousandth from those of a finer one."""


@dataclass(frozen=True)
class Unlabelled:
    """m nuclei without a correction.

    Attributes:
        features: (m, D) float64, standardised.
        logits: (m, K) float64, of the model.
    """

    features: FloatArray
    logits: FloatArray


@dataclass(frozen=True)
class Holds:
    """What holds a change back.

    Attributes:
        ridge: As of :func:`fit_change`.
        bias_ridge: The same.
        sure_weight: What all unlabelled nuclei together weigh, for each weight of an example.
        sure_most: What they weigh together at the most.
        sure_from: The probability from which on one teaches.
    """

    ridge: float
    bias_ridge: float
    sure_weight: float
    sure_most: float
    sure_from: float


def fit_self_trained(
    features: FloatArray,
    logits: FloatArray,
    classes: npt.NDArray[np.integer],
    weights: FloatArray,
    unlabelled: Unlabelled,
    holds: Holds,
) -> LinearChange:
    """Learn a change from examples, then twice from these and the unlabelled it is sure of.

    Args:
        features: (n, D), standardised.
        logits: (n, K) of the model.
        classes: (n,) index of the right class.
        weights: (n,) what each example counts.
        unlabelled: Others of the same slide.
        holds: How strongly.

    Returns:
        The change; that of :func:`fit_change` where there are no examples, no weight of
        others, or none that it is sure of.
    """
    change = fit_change(features, logits, classes, weights, holds.ridge, holds.bias_ridge)
    if not len(features) or not holds.sure_weight:
        return change
    together = min(holds.sure_weight * weights.sum(), holds.sure_most)
    for _ in range(_ROUNDS):
        p = softmax(change.apply(unlabelled.features, unlabelled.logits), axis=1)
        sure = np.flatnonzero(p.max(axis=1) >= holds.sure_from)
        if not len(sure):
            break
        change = fit_change(
            np.concatenate([features, unlabelled.features[sure]]),
            np.concatenate([logits, unlabelled.logits[sure]]),
            np.concatenate([classes, p[sure].argmax(axis=1)]),
            np.concatenate([weights, np.full(len(sure), together / len(sure))]),
            holds.ridge,
            holds.bias_ridge,
            start=change,
            tolerance=_TOLERANCE,
        )
    return change
