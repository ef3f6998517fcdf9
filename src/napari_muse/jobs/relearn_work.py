"""The work of the relearning thread: learn from a snapshot of the nuclei, predict all classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from muse_core.array_types import IntArray
from muse_core.classify.class_head import read_class_head
from muse_core.classify.feature_folder import find_features
from muse_core.classify.relearn.asking import ask_next
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.learner import LearningResult
from muse_core.classify.relearn.slide_learner import (
    Relabelled,
    SlideLearner,
    SlideNuclei,
    moves,
    named_moves,
)
from muse_core.classify.relearn.whole import model_file, slide_nuclei
from muse_core.errors import UserError
from muse_core.nuclei import Status
from muse_core.nuclei.counted import counted
from muse_core.nuclei.store import SlideIdentity
from napari_muse.annotations.slide_annotations import SlideAnnotations

_ASKED = 200
_CANDIDATES = 20_000
_MOST_MOVES = 4
_SAID = ("id", "class_id", "status", "x", "y")
"""What a person says of a nucleus."""


@dataclass(frozen=True)
class Learnt:
    """Result of learning from the corrections of a slide.

    Attributes:
        result: What was learnt.
        class_names: The slide's classes.
        moved: (K, K) how many nuclei of each class became which.
        changed_ids: Nuclei that have another class than before.
        unlearnt_ids: Settled nuclei that were not used because they have no features.
        n_without: Number of nuclei without features.
        to_ask: Ids by how much a correction would teach, most first.
        notes: Sentences for the user.
    """

    result: LearningResult
    class_names: tuple[str, ...]
    moved: npt.NDArray[np.int64]
    changed_ids: IntArray
    unlearnt_ids: IntArray
    n_without: int
    to_ask: IntArray
    notes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Return one sentence on the quality of the learning."""
        result = self.result
        if not result.n_examples:
            return "Nothing is corrected yet: all have the model's own class."
        text = f"{result.n_examples:,} nuclei teach; {len(self.changed_ids):,} changed."
        if result.agreement is None or result.agreement_before is None:
            return text
        return (
            f"{text} Agreement on corrections left out: {result.agreement:.0%}, the model alone"
            f" {result.agreement_before:.0%}."
        )

    @property
    def moves_text(self) -> str:
        """Changes of classes, most frequent first, one per line."""
        most = islice(named_moves(self.moved, self.class_names).items(), _MOST_MOVES)
        return "\n".join(f"{n:,} {before} → {after}" for (before, after), n in most)


@dataclass(frozen=True)
class RelearnTask:
    """A snapshot to work on in the thread."""

    annotations: SlideAnnotations
    rows: Any
    classes: npt.NDArray[np.intp]
    class_names: tuple[str, ...]
    areas: tuple[BaseGeometry, ...]
    in_view: IntArray
    root: Path
    slide: SlideIdentity
    config: RelearnConfig
    class_map: Mapping[str, str]
    begun: float

    def holds(self) -> bool:
        """Whether what is learnt from is still so: no class, nucleus or region of it was undone.

        Reads the annotations, and so is called in the interface's thread.
        """
        now = self.annotations
        said = self.rows[self.rows["status"] != Status.PREDICTED]
        if now.scheme.names != self.class_names or now.store.reviewed_areas() != self.areas:
            return False
        if len(said) and not len(now.rows):
            return False
        there = now.rows[np.minimum(now.index_of(said["id"]), len(now.rows) - 1)]
        return all(np.array_equal(there[name], said[name]) for name in _SAID)


@dataclass(frozen=True)
class RelearnAnswer:
    """Result of a task."""

    task: RelearnTask
    nuclei: SlideNuclei
    found: Relabelled
    learnt: Learnt
    model: str


class RelearnWorker:
    """Keeps the learner of a slide from one time to the next; used in one thread.

    Attributes:
        learner: The last one.
        model: File of the model that its features are of.
    """

    def __init__(self) -> None:
        self.learner: SlideLearner | None = None
        self.model = Path()
        self._of: object = None

    def answer(
        self, task: RelearnTask, seen_by: Callable[[IntArray, IntArray], None]
    ) -> RelearnAnswer:
        """Learn and predict all classes; those of nuclei in view are passed on first.

        Raises:
            UserError: There is nothing to learn from, or the features are out of reach.
        """
        try:
            return self._answer(task, seen_by)
        except UserError as error:
            if isinstance(error.__cause__, OSError):
                # Opened again the next time, when the drive or share may be back.
                self._of = None
            raise

    def _answer(
        self, task: RelearnTask, seen_by: Callable[[IntArray, IntArray], None]
    ) -> RelearnAnswer:
        nuclei = slide_nuclei(task.rows, task.classes, task.areas)
        learner = self._ready(task, nuclei)
        result = learner.learn(nuclei)
        view = np.flatnonzero(np.isin(nuclei.ids, task.in_view))
        seen = learner.relabel(result, nuclei, view)
        assert seen is not None  # nobody asks it to stop
        seen_by(nuclei.ids[seen.at], seen.classes)
        found = learner.relabel(result, nuclei)
        assert found is not None
        before = nuclei.classes[found.at]
        learnt = Learnt(
            result,
            task.class_names,
            moves(before, found.classes, len(task.class_names)),
            nuclei.ids[found.at[before != found.classes]],
            _unlearnt(learner, nuclei),
            len(learner.without_features(nuclei)),
            _to_ask(result, nuclei, found, learner),
            (*learner.notes, *result.notes, *_missing(learner, nuclei)),
        )
        return RelearnAnswer(task, nuclei, found, learnt, learner.folder.facts.model)

    def _ready(self, task: RelearnTask, nuclei: SlideNuclei) -> SlideLearner:
        """The learner of the slide, created again if features, classes or method have changed."""
        folder = find_features(task.root, task.slide)
        key = (
            folder.path, len(folder), folder.facts, task.class_names, task.config,
            tuple(sorted(task.class_map.items())),
        )  # fmt: skip
        if self.learner is None or key != self._of:
            self.model = model_file(folder)
            self.learner = SlideLearner(
                folder,
                read_class_head(self.model),
                task.class_names,
                nuclei,
                class_map=task.class_map,
                config=task.config,
            )
            self._of = key
        return self.learner


def _to_ask(
    result: LearningResult, nuclei: SlideNuclei, found: Relabelled, learner: SlideLearner
) -> IntArray:
    """Ids of the most uncertain nuclei, those at the front unlike each other."""
    open_ = np.flatnonzero(~nuclei.settled[found.at])
    if not len(open_):
        return np.zeros(0, np.int64)
    scores = found.scores[:, open_]
    uncertainty = 1 - _margin(scores)
    most = np.argpartition(-uncertainty, min(_CANDIDATES, len(uncertainty)) - 1)[:_CANDIDATES]
    features = learner.features_of(result, found.at[open_[most]])
    order = ask_next(features, uncertainty[most], _ASKED)
    ids: IntArray = nuclei.ids[found.at[open_[most[order]]]]
    return ids


def _margin(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if len(scores) < 2:
        return np.ones(scores.shape[1], np.float32)
    ordered = np.partition(scores, -2, axis=0)
    return np.asarray(ordered[-1] - ordered[-2])


def _unlearnt(learner: SlideLearner, nuclei: SlideNuclei) -> IntArray:
    without = learner.without_features(nuclei)
    return np.asarray(nuclei.ids[without[nuclei.settled[without]]])


def _missing(learner: SlideLearner, nuclei: SlideNuclei) -> tuple[str, ...]:
    count = len(learner.without_features(nuclei))
    if not count:
        return ()
    return (f"{counted(count, 'nucleus has', 'nuclei have')} no features.",)
