"""Learner: fits classes to the corrected nuclei of a slide, as often as they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_core.array_types import FloatArray
from muse_core.blas_threads import one_blas_thread
from muse_core.classify.relearn.base import BaseLogits
from muse_core.classify.relearn.calibration import temperature
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.examples import Examples, choose_examples
from muse_core.classify.relearn.logistic import LinearChange, fit_change
from muse_core.classify.relearn.nearest import NeighbourVotes, fit_votes
from muse_core.classify.relearn.prediction import Predictor, Standard
from muse_core.classify.relearn.regions import region_folds, region_weights
from muse_core.files import FileRows

_MOST_FITTED = 20_000
_MOST_TESTED = 3_000
_RUNS = 256
_RUN = 128
_LEAST_SCALE = 1e-3


@dataclass(frozen=True)
class LearningResult:
    """Result of learning from examples: the change of the class head, with notes.

    Attributes:
        predictor: Applies it.
        n_examples: How many it was learnt from.
        agreement: Share of examples, each left out with all of its region, that get their class
            from what is learnt of the others; None where there are too few to part.
        agreement_before: The same of the model itself.
        notes: Sentences for the user.
    """

    predictor: Predictor
    n_examples: int
    agreement: float | None
    agreement_before: float | None
    notes: tuple[str, ...]


class Learner:
    """Learns from examples; standardisation and the like is done once, at the start."""

    def __init__(
        self,
        features: npt.NDArray[np.float16] | FileRows,
        base: BaseLogits,
        class_names: Sequence[str],
        mpp: float,
        config: RelearnConfig | None = None,
    ) -> None:
        """Take features (R, D) and logits (K, R) of a slide at ``mpp`` microns per pixel."""
        self.config = config or RelearnConfig()
        self._features = features
        self._base = base
        self._names = tuple(class_names)
        self._mpp = mpp
        self._standard = standard_of(features)

    def learn(self, examples: Examples) -> LearningResult:
        """Fit all examples from scratch; without any, the model's own predictions are kept.

        Raises:
            UserError: They are all of one class.
        """
        config = self.config
        chosen = choose_examples(examples, self._names, self._base.known, config.new_class_examples)
        of_taught = np.cumsum(chosen.taught) - 1
        used = _some(chosen.examples, _MOST_FITTED)
        x = self._standard.apply(self._features[used.rows])
        # A feature that is not finite teaches nothing.
        finite = np.asarray(np.isfinite(x).all(axis=1))
        used, x = used.take(finite), x[finite]
        logits = self._base.values[chosen.taught][:, used.rows].T.astype(np.float64)
        classes = of_taught[used.classes]
        weights = region_weights(used.xy, config.region_um / self._mpp, config.region_power)
        # The matrix products are small, and BLAS threads would only busy-wait between them.
        with one_blas_thread():
            cross_validated = self._cross_validated(x, logits, classes, weights, used.xy)
            change = self._fit(x, logits, classes, weights)
        return LearningResult(
            Predictor(
                self._features,
                self._base.values,
                self._standard,
                change,
                chosen.taught,
                cross_validated.temperature,
            ),
            len(used),
            cross_validated.agreement,
            self._agreement_before(used),
            chosen.notes,
        )

    def _fit(
        self, x: FloatArray, logits: FloatArray, classes: npt.NDArray[np.int64], weights: FloatArray
    ) -> LinearChange | NeighbourVotes:
        config = self.config
        if config.method == "knn":
            return fit_votes(
                x, classes, logits.shape[1], weights, config.neighbours, config.prior_votes
            )
        ridge = config.ridge * x.shape[1]
        return fit_change(x, logits, classes, weights, ridge, config.bias_ridge)

    def _cross_validated(
        self,
        x: FloatArray,
        logits: FloatArray,
        classes: npt.NDArray[np.int64],
        weights: FloatArray,
        xy: npt.NDArray[np.float64],
    ) -> _CrossValidated:
        """Predict each example from those of other regions."""
        some = _spread(len(x), _MOST_TESTED)
        x, logits, classes = x[some], logits[some], classes[some]
        weights, fold = weights[some], region_folds(xy[some], self.config.folds)
        if len(x) < 2:
            return _CrossValidated(None, 1.0)
        changed = logits.copy()
        for number in range(fold.max() + 1):
            out = fold == number
            learnt = self._fit(x[~out], logits[~out], classes[~out], weights[~out])
            changed[out] = learnt.apply(x[out], logits[out])
        right = changed.argmax(axis=1) == classes
        return _CrossValidated(float(right.mean()), temperature(changed, classes, weights))

    def _agreement_before(self, examples: Examples) -> float | None:
        if len(examples) < 2:
            return None
        own = self._base.values[:, examples.rows].copy()
        own[~self._base.known] = -np.inf
        return float((own.argmax(axis=0) == examples.classes).mean())


@dataclass(frozen=True)
class _CrossValidated:
    agreement: float | None
    temperature: float


def standard_of(features: npt.NDArray[np.float16] | FileRows) -> Standard:
    """Centre and scale of features, from all rows or from 256 runs of 128, spread evenly.

    In runs, because reading single rows that far apart would read nearly the whole file.
    """
    if len(features) <= _RUNS * _RUN:
        rows = np.asarray(features[:], np.float64)
    else:
        starts = np.linspace(0, len(features) - _RUN, _RUNS).astype(np.int64)
        rows = np.concatenate([features[s : s + _RUN] for s in starts]).astype(np.float64)
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        return Standard(np.zeros(features.shape[1]), np.ones(features.shape[1]))
    return Standard(rows.mean(axis=0), np.maximum(rows.std(axis=0), _LEAST_SCALE))


def _some(examples: Examples, most: int) -> Examples:
    return examples if len(examples) <= most else examples.take(_spread(len(examples), most))


def _spread(n: int, most: int) -> npt.NDArray[np.int64]:
    """At most so many of n indices, evenly."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)) if n else np.arange(0)
