"""Classes and probabilities of many nuclei from features on disk, in blocks over a few threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_core.blas_threads import one_blas_thread
from muse_core.classify.relearn.logistic import LinearChange
from muse_core.classify.relearn.nearest import NeighbourVotes
from muse_core.files import FileRows
from muse_core.processor import usable_cores

_BLOCK_ROWS = 4096
_MOST_THREADS = 4
Blocks = npt.NDArray[np.int64] | slice


@dataclass(frozen=True)
class Standard:
    """Centre and scale of features, (D,) float64 each."""

    centre: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]

    def apply(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(n, D) features to standardised ones."""
        return (np.asarray(features, np.float64) - self.centre) / self.scale


@dataclass(frozen=True)
class Prediction:
    """Predicted classes of n nuclei.

    Attributes:
        classes: (n,) uint8, index into the slide's classes.
        probabilities: (K, n) float32, calibrated; of classes that cannot be given, 0.
    """

    classes: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32]

    @property
    def top(self) -> npt.NDArray[np.float32]:
        """(n,) probability of the class."""
        return np.asarray(self.probabilities.max(axis=0))

    @property
    def entropy(self) -> npt.NDArray[np.float32]:
        """(n,) 0 (sure) to 1 (all classes equally likely)."""
        p = self.probabilities
        total = -(p * np.log(np.maximum(p, 1e-7))).sum(axis=0) / np.log(max(len(p), 2))
        return np.asarray(total.clip(0, 1), np.float32)

    @property
    def margin(self) -> npt.NDArray[np.float32]:
        """(n,) between the two likeliest, 0 (undecided) to 1 (sure)."""
        if len(self.probabilities) < 2:
            return np.ones(len(self.classes), np.float32)
        ordered = np.partition(self.probabilities, -2, axis=0)
        return np.asarray(ordered[-1] - ordered[-2])


@dataclass(frozen=True)
class Predictor:
    """A learnt change of classes, ready to be applied to features.

    Attributes:
        features: (R, D) float16, in a file or in memory.
        base: (K, R) float32 logits of the model.
        standard: Of the features.
        change: What was learnt, for standardised features and the taught classes.
        taught: (K,) bool, classes that can be given.
        temperature: What logits are divided by.
    """

    features: npt.NDArray[np.float16] | FileRows
    base: npt.NDArray[np.float32]
    standard: Standard
    change: LinearChange | NeighbourVotes
    taught: npt.NDArray[np.bool_]
    temperature: float

    def predict(
        self,
        rows: npt.NDArray[np.int64] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Prediction | None:
        """Predict some rows, or all; None where it was stopped before the end."""
        n = len(self.features) if rows is None else len(rows)
        found = Prediction(np.zeros(n, np.uint8), np.zeros((len(self.taught), n), np.float32))
        score = self._linear() if isinstance(self.change, LinearChange) else self._votes
        stop = should_stop or (lambda: False)

        def block(start: int) -> None:
            if stop():
                return
            here = slice(start, min(start + _BLOCK_ROWS, n))
            which: Blocks = here if rows is None else rows[here]
            base = self.base[self.taught][:, which] if rows is not None else self._base(here)
            classes, probabilities = _settle(score(which, base), base, self.temperature)
            found.classes[here] = np.flatnonzero(self.taught)[classes]
            found.probabilities[self.taught, here] = probabilities

        # Threads of numpy in each of ours would spin while there is nothing left for them.
        with one_blas_thread():
            _for_each(block, range(0, n, _BLOCK_ROWS))
            return None if stop() else found

    def _base(self, here: slice) -> npt.NDArray[np.float32]:
        part = self.base[:, here]
        return part if self.taught.all() else part[self.taught]

    def _linear(self) -> Callable[[Blocks, npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
        assert isinstance(self.change, LinearChange)
        raw = self.change.unscaled(self.standard.centre, self.standard.scale)
        weight = np.ascontiguousarray(raw.weight.T, np.float32)
        bias = raw.bias.astype(np.float32)[:, None]

        def score(which: Blocks, base: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            # Features that are not finite are dealt with later.
            with np.errstate(invalid="ignore"):
                logits = weight @ self.features[which].astype(np.float32).T
            logits += base
            logits += bias
            return logits

        return score

    def _votes(self, which: Blocks, base: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        rows = self.features[which].astype(np.float32)
        rows -= self.standard.centre.astype(np.float32)
        rows /= self.standard.scale.astype(np.float32)
        return np.asarray(self.change.apply(rows, base.T).T, np.float32)


def _for_each(work: Callable[[int], None], starts: range) -> None:
    """Call for each start, in several threads where there are several."""
    threads = min(_MOST_THREADS, usable_cores(), len(starts))
    if threads < 2:
        for start in starts:
            work(start)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="relearn") as pool:
        list(pool.map(work, starts))


def _settle(
    logits: npt.NDArray[np.float32], base: npt.NDArray[np.float32], temperature: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Class and probabilities from (K, n) logits.

    A nucleus whose feature is not finite keeps what the model says. Class by class, for numpy is
    slow along axes of a few entries.
    """
    broken = ~np.isfinite(logits).all(axis=0)
    if broken.any():
        logits[:, broken] = base[:, broken]
    best = logits[0].copy()
    classes = np.zeros(logits.shape[1], np.intp)
    for k in range(1, len(logits)):
        better = logits[k] > best
        classes[better] = k
        np.maximum(best, logits[k], out=best)
    logits -= best
    logits /= np.float32(temperature)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return classes, logits
