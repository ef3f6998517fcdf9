"""Multinomial logistic regression on top of given logits.

The parameters are a correction of the given logits, and the ridge penalty draws it to zero. Source:
a Gaussian prior around a known model, e.g. Bishop, "Pattern Recognition and Machine Learning",
2006, section 4.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from muse_core.array_types import FloatArray

_MOST_STEPS = 500
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class LinearChange:
    """Linear change of logits from D features: ``features @ weight + bias`` is added to them.

    Attributes:
        weight: (D, K) float64.
        bias: (K,) float64.
    """

    weight: FloatArray
    bias: FloatArray

    def apply(self, features: npt.ArrayLike, logits: npt.ArrayLike) -> FloatArray:
        """(N, D) features and (N, K) logits to the changed logits."""
        return np.asarray(logits, np.float64) + np.asarray(features) @ self.weight + self.bias

    def unscaled(self, centre: FloatArray, scale: FloatArray) -> LinearChange:
        """Return the change for features before they were standardised, (D,) each."""
        weight = self.weight / scale[:, None]
        return LinearChange(weight, self.bias - centre @ weight)


def fit_change(
    features: FloatArray,
    logits: FloatArray,
    classes: npt.NDArray[np.integer],
    weights: FloatArray,
    ridge: float,
    bias_ridge: float,
) -> LinearChange:
    """Learn a change from examples; the loss is convex, so that their order plays no part.

    Args:
        features: (n, D), standardised.
        logits: (n, K) of the model.
        classes: (n,) index of the right class.
        weights: (n,) what each example counts.
        ridge: Half of it times the sum of the squared weights is added to the loss.
        bias_ridge: The same of the biases.
    """
    n, n_features = features.shape
    n_classes = logits.shape[1]
    if not n:
        return LinearChange(np.zeros((n_features, n_classes)), np.zeros(n_classes))
    basis = _basis(features)
    known = features if basis is None else features @ basis
    # Class by class, for numpy is slow along axes of a few entries.
    known_t, base = np.ascontiguousarray(known.T), np.ascontiguousarray(logits.T)
    own = classes, np.arange(n)
    right = np.zeros((n_classes, n))
    right[own] = 1
    end = known.shape[1] * n_classes

    def loss(values: FloatArray) -> tuple[float, FloatArray]:
        weight, bias = values[:end], values[end:]
        z = weight.reshape(n_classes, -1) @ known_t + base + bias[:, None]
        z -= z.max(axis=0)
        p = np.exp(z)
        total = p.sum(axis=0)
        value = weights @ (np.log(total) - z[own])
        value += (ridge * (weight @ weight) + (bias_ridge * bias) @ bias) / 2
        error = (p / total - right) * weights
        gradient = (error @ known).ravel() + ridge * weight
        return float(value), np.concatenate([gradient, error.sum(axis=1) + bias_ridge * bias])

    found = minimize(
        loss,
        np.zeros(end + n_classes),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MOST_STEPS, "gtol": _TOLERANCE, "ftol": 1e-12},
    ).x
    weight = found[:end].reshape(n_classes, -1).T
    return LinearChange(weight if basis is None else basis @ weight, found[end:])


def _basis(features: FloatArray) -> FloatArray | None:
    """Basis (D, n) of the span of few examples, which contains the optimum; None if n >= D."""
    n, n_features = features.shape
    if n >= n_features:
        return None
    basis, _ = np.linalg.qr(features.T)
    return basis
