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
from muse_core.classify.relearn.logistic import LinearChange, Ridge, fit_change
from muse_core.classify.relearn.nearest import NeighbourVotes, fit_votes
from muse_core.classify.relearn.place_offsets import CellNumbers, PlaceOffsets, Windows, cells_of
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
        xy: npt.NDArray[np.float64],
        base: BaseLogits,
        class_names: Sequence[str],
        mpp: float,
        config: RelearnConfig | None = None,
    ) -> None:
        """Take nuclei of a slide.

        Args:
            features: (R, D).
            xy: (R, 2) level-0 pixels.
            base: Logits of the R nuclei in K classes.
            class_names: K names.
            mpp: Microns per pixel.
            config: How to learn.
        """
        self.config = config or RelearnConfig()
        self._cells = cells_of(xy, self.config.place_um / mpp)
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
        data = _Data(x, logits, classes, weights, self._cells[used.rows])
        # The matrix products are small, and BLAS threads would only busy-wait between them.
        with one_blas_thread():
            cross_validated = self._cross_validated(data, used.xy)
            change, offsets = self._fit(data)
        return LearningResult(
            Predictor(
                self._features,
                self._base.values,
                self._cells,
                self._standard,
                change,
                offsets,
                chosen.taught,
                cross_validated.temperature,
            ),
            len(used),
            cross_validated.agreement,
            self._agreement_before(used),
            chosen.notes,
        )

    def _fit(self, data: _Data) -> tuple[LinearChange | NeighbourVotes, PlaceOffsets]:
        config, n_classes = self.config, data.logits.shape[1]
        if config.method == "knn":
            votes = fit_votes(
                data.x, data.classes, n_classes, data.weights, config.neighbours, config.prior_votes
            )
            return votes, PlaceOffsets.none(n_classes)
        ridge = Ridge(config.ridge * data.x.shape[1], config.bias_ridge, config.place_ridge)
        windows = Windows.around(data.cells)
        return fit_change(data.x, data.logits, data.classes, data.weights, ridge, windows)

    def _cross_validated(self, data: _Data, xy: npt.NDArray[np.float64]) -> _CrossValidated:
        """Predict each example from those of other regions."""
        some = _spread(len(xy), _MOST_TESTED)
        data, fold = data.take(some), region_folds(xy[some], self.config.folds)
        if len(some) < 2:
            return _CrossValidated(None, 1.0)
        changed = data.logits.copy()
        for number in range(fold.max() + 1):
            out = fold == number
            learnt, offsets = self._fit(data.take(~out))
            around = offsets.at(data.cells[out])
            base = data.logits[out] if around is None else data.logits[out] + around.T
            changed[out] = learnt.apply(data.x[out], base)
        right = changed.argmax(axis=1) == data.classes
        return _CrossValidated(
            float(right.mean()), temperature(changed, data.classes, data.weights)
        )

    def _agreement_before(self, examples: Examples) -> float | None:
        if len(examples) < 2:
            return None
        own = self._base.values[:, examples.rows].copy()
        own[~self._base.known] = -np.inf
        return float((own.argmax(axis=0) == examples.classes).mean())


@dataclass(frozen=True)
class _Data:
    """Examples (n,) as the methods take them; classes and logits are of the taught classes only."""

    x: FloatArray
    logits: FloatArray
    classes: npt.NDArray[np.int64]
    weights: FloatArray
    cells: CellNumbers

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> _Data:
        return _Data(
            self.x[which],
            self.logits[which],
            self.classes[which],
            self.weights[which],
            self.cells[which],
        )


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
