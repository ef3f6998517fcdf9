"""SlideLearner: learns from the settled nuclei of a slide and predicts the classes of the others.

It works on arrays and knows neither the store nor the window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_core.classify.class_head import NumpyClassHead
from muse_core.classify.feature_folder import FeatureFolder
from muse_core.classify.kept_logits import kept_logits
from muse_core.classify.places import rows_at
from muse_core.classify.relearn.base import base_logits, class_targets
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.examples import Examples
from muse_core.classify.relearn.learner import Learner, LearningResult
from muse_core.errors import UserError


@dataclass(frozen=True)
class SlideNuclei:
    """N nuclei of a slide as they are shown, without removed ones.

    Attributes:
        ids: (N,) int64.
        xy: (N, 2) float64, level-0 pixels.
        classes: (N,) int64, index into the slide's classes.
        settled: (N,) bool, whether a person has decided on the nucleus: confirmed, corrected or
            added it, or reviewed the field it lies in.
    """

    ids: npt.NDArray[np.int64]
    xy: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]
    settled: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Relabelled:
    """New classes of n nuclei.

    Attributes:
        at: (n,) which of the nuclei.
        classes: (n,) int64, index into the slide's classes; settled nuclei keep theirs.
        probabilities: (n,) float32, of that class.
        scores: (K, n) float32, of every class.
    """

    at: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


class SlideLearner:
    """Learns a slide's classes, as often as nuclei are corrected."""

    def __init__(
        self,
        folder: FeatureFolder,
        head: NumpyClassHead,
        class_names: Sequence[str],
        nuclei: SlideNuclei,
        *,
        class_map: Mapping[str, str] | None = None,
        config: RelearnConfig | None = None,
    ) -> None:
        """Find the nuclei's features and compute the model's logits.

        Args:
            folder: Features.
            head: Class head of the model that they are of.
            class_names: The slide's classes.
            nuclei: The slide's nuclei.
            class_map: What classes of the model are called on the slide, where otherwise.
            config: How to learn.

        Raises:
            UserError: The head reads other features, or none of the nuclei has any.
        """
        facts = folder.facts
        if (head.n_features, head.class_names) != (facts.channels, facts.class_names):
            raise UserError(f"The features are not those that {head.card.name} reads.")
        self.folder = folder
        self.class_names = tuple(class_names)
        self.config = config or RelearnConfig()
        self.notes: tuple[str, ...] = folder.notes
        self._xy = np.zeros((0, 2))
        self._rows = np.zeros(0, np.int64)
        self._follow(nuclei)
        if (self._rows < 0).all():
            raise UserError("None of the nuclei has features: detect again with features.")
        found = ~nuclei.settled & (self._rows >= 0)
        self.head = head
        self.targets, notes = class_targets(
            head.class_names,
            self.class_names,
            class_map or {},
            folder.classes[self._rows[found]],
            nuclei.classes[found],
        )
        self.notes += tuple(notes)
        base = base_logits(
            kept_logits(folder, head),
            np.asarray(folder.classes),
            self.targets,
            len(self.class_names),
            self.config.new_class_offset,
        )
        self._learner = Learner(
            folder.features, base, self.class_names, folder.facts.mpp, self.config
        )

    def learn(self, nuclei: SlideNuclei) -> LearningResult:
        """Learn from all that is settled.

        Raises:
            UserError: All of that is of one class.
        """
        self._follow(nuclei)
        with_features = np.flatnonzero(nuclei.settled & (self._rows >= 0))
        return self._learner.learn(
            Examples(
                self._rows[with_features], nuclei.classes[with_features], nuclei.xy[with_features]
            )
        )

    def without_features(self, nuclei: SlideNuclei) -> npt.NDArray[np.int64]:
        """(n,) which nuclei have no features, such as added ones."""
        self._follow(nuclei)
        return np.flatnonzero(self._rows < 0)

    def relabel(
        self,
        result: LearningResult,
        nuclei: SlideNuclei,
        which: npt.NDArray[np.int64] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Relabelled | None:
        """Predict nuclei that have features, all or some; None where it was stopped.

        Args:
            result: Of :meth:`learn`.
            nuclei: The nuclei it was learnt from.
            which: (m,) some of them.
            should_stop: Asked now and then.
        """
        self._follow(nuclei)
        at = np.arange(len(nuclei)) if which is None else which
        at = at[self._rows[at] >= 0]
        rows = self._rows[at]
        # Nothing is faster than to read the file through, unless few are wanted.
        whole = which is None and 2 * len(at) > len(self.folder)
        found = result.predictor.predict(None if whole else rows, should_stop)
        if found is None:
            return None
        scores = found.probabilities[:, rows] if whole else found.probabilities
        classes = (found.classes[rows] if whole else found.classes).astype(np.int64)
        probabilities = scores.max(axis=0)
        settled = nuclei.settled[at]
        classes[settled] = nuclei.classes[at][settled]
        probabilities[settled] = 1.0
        return Relabelled(at, classes, probabilities, scores)

    def features_of(
        self, result: LearningResult, which: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """(m, D) standardised features of some of the nuclei last looked at, which have some."""
        rows = self.folder.features[self._rows[which]]
        return result.predictor.standard.apply(rows)

    def _follow(self, nuclei: SlideNuclei) -> None:
        """Find the features anew where nuclei have come, gone or moved."""
        if not np.array_equal(nuclei.xy, self._xy):
            self._rows = rows_at(self.folder.places, nuclei.xy)
            self._xy = nuclei.xy.copy()


def moves(
    before: npt.NDArray[np.int64], after: npt.NDArray[np.int64], n_classes: int
) -> npt.NDArray[np.int64]:
    """(K, K) how many nuclei of each class became which."""
    pairs = np.bincount(before * n_classes + after, minlength=n_classes**2)
    return pairs.reshape(n_classes, n_classes)


def named_moves(moved: npt.NDArray[np.int64], names: Sequence[str]) -> dict[tuple[str, str], int]:
    """Numbers of nuclei by class before and after, most first; without those that stay.

    Args:
        moved: (K, K) from :func:`moves`.
        names: K names of classes.
    """
    pairs = [(int(moved[i, j]), i, j) for i, j in zip(*np.nonzero(moved), strict=True) if i != j]
    return {(names[i], names[j]): n for n, i, j in sorted(pairs, key=lambda p: (-p[0], p[1:]))}
