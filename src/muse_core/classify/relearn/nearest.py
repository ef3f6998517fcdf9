"""Votes of the nearest corrected nuclei on top of the model's own probabilities.

Source: weighted kNN with the cosine as similarity, as in the kNN probe of Caron et al., "Emerging
Properties in Self-Supervised Vision Transformers", ICCV 2021; the prior is this project's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

_TEMPERATURE = 0.2
_ALIKE = 0.7
"""The similarity from which on a vote weighs 1."""


@dataclass(frozen=True)
class NeighbourVotes:
    """Corrected nuclei that vote.

    Attributes:
        features: (n, D) float32, standardised, of unit length.
        classes: (n, K) float32, one-hot times what each counts.
        neighbours: How many vote on each nucleus.
        prior_votes: What the model's probabilities weigh.
    """

    features: npt.NDArray[np.float32]
    classes: npt.NDArray[np.float32]
    neighbours: int
    prior_votes: float

    def apply(
        self, features: npt.NDArray[np.floating], logits: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.floating]:
        """(N, D) standardised features and (N, K) logits to log-probabilities."""
        share = softmax(np.asarray(logits), axis=1) * logits.dtype.type(self.prior_votes)
        if len(self.features):
            share = share + self._votes(unit_length(features))
        return np.asarray(np.log(np.maximum(share, 1e-12) / share.sum(axis=1, keepdims=True)))

    def _votes(self, unit: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        similarity = unit @ self.features.T
        k = min(self.neighbours, len(self.features))
        weight = np.exp((similarity - np.float32(_ALIKE)) / np.float32(_TEMPERATURE))
        if k < len(self.features):
            weight[similarity < np.partition(similarity, -k, axis=1)[:, -k, None]] = 0
        return np.asarray(weight @ self.classes)


def fit_votes(
    features: npt.NDArray[np.floating],
    classes: npt.NDArray[np.integer],
    n_classes: int,
    weights: npt.NDArray[np.floating],
    neighbours: int,
    prior_votes: float,
) -> NeighbourVotes:
    """Take (n, D) standardised features of corrected nuclei, their classes and weights (n,)."""
    votes = np.eye(n_classes, dtype=np.float32)[classes] * weights[:, None].astype(np.float32)
    return NeighbourVotes(unit_length(features), votes, neighbours, prior_votes)


def unit_length(features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """(n, D) rows brought to length 1; those that are not finite become NaN."""
    rows = np.asarray(features, np.float32)
    with np.errstate(invalid="ignore"):
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
