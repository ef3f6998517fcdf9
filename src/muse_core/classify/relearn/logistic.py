"""Multinomial logistic regression on top of given logits.

The parameters are a correction of the given logits, for all places and for windows around the
examples, and the ridge penalty draws it to zero. Source:
a Gaussian prior around a known model, e.g. Bishop, "Pattern Recognition and Machine Learning",
2006, section 4.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from muse_core.array_types import FloatArray
from muse_core.classify.relearn.place_offsets import PlaceOffsets, Windows

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


@dataclass(frozen=True)
class Ridge:
    """L2 penalties: half of each times the sum of the squared parameters is added to the loss.

    Attributes:
        weight: Of the weights of features.
        bias: Of the biases.
        place: Of the offsets of windows; its inverse is the prior variance of their sum at a place.
    """

    weight: float
    bias: float
    place: float


def fit_change(
    features: FloatArray,
    logits: FloatArray,
    classes: npt.NDArray[np.integer],
    weights: FloatArray,
    ridge: Ridge,
    windows: Windows,
) -> tuple[LinearChange, PlaceOffsets]:
    """Learn a change from examples; the loss is convex, so that their order plays no part.

    Args:
        features: (n, D), standardised.
        logits: (n, K) of the model.
        classes: (n,) index of the right class.
        weights: (n,) what each example counts.
        ridge: Penalties.
        windows: Around the examples.

    Returns:
        The change for all places, and the offsets around the examples, to be added to it.
    """
    n, n_features = features.shape
    n_classes = logits.shape[1]
    if not n:
        change = LinearChange(np.zeros((n_features, n_classes)), np.zeros(n_classes))
        return change, PlaceOffsets.none(n_classes)
    # Scaled so that the penalty is the same as of the weights: the search takes fewer steps.
    unit = np.sqrt(ridge.weight / ridge.place)
    inside, of_windows = windows.members * unit, windows.members.T.tocsr() * unit
    basis = _basis(features)
    known = features if basis is None else features @ basis
    # Class by class, for numpy is slow along axes of a few entries.
    known_t, base = np.ascontiguousarray(known.T), np.ascontiguousarray(logits.T)
    own = classes, np.arange(n)
    right = np.zeros((n_classes, n))
    right[own] = 1
    ends = np.cumsum([known.shape[1] * n_classes, n_classes, inside.shape[1] * n_classes])
    penalty = np.repeat([ridge.weight, ridge.bias, ridge.weight], np.diff(ends, prepend=0))

    def parts(values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        weight, bias, place = np.split(values, ends[:2])
        return weight.reshape(n_classes, -1), bias, place.reshape(-1, n_classes)

    def loss(values: FloatArray) -> tuple[float, FloatArray]:
        weight, bias, place = parts(values)
        z = weight @ known_t + base + bias[:, None] + (inside @ place).T
        z -= z.max(axis=0)
        p = np.exp(z)
        total = p.sum(axis=0)
        value = weights @ (np.log(total) - z[own]) + (penalty * values) @ values / 2
        error = (p / total - right) * weights
        of_places = of_windows @ error.T
        gradient = np.concatenate([(error @ known).ravel(), error.sum(axis=1), of_places.ravel()])
        return float(value), gradient + penalty * values

    options = {"maxiter": _MOST_STEPS, "gtol": _TOLERANCE, "ftol": 1e-12}
    found = minimize(loss, np.zeros(ends[2]), jac=True, method="L-BFGS-B", options=options).x
    weight, bias, place = parts(found)
    of_features = weight.T if basis is None else basis @ weight.T
    return LinearChange(of_features, bias), windows.offsets(unit * place)


def _basis(features: FloatArray) -> FloatArray | None:
    """Basis (D, n) of the span of few examples, which contains the optimum; None if n >= D."""
    n, n_features = features.shape
    if n >= n_features:
        return None
    basis, _ = np.linalg.qr(features.T)
    return basis
