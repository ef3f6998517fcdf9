"""Learning from each correction at once, as the session sees it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal
from qtpy.QtCore import QObject
from qtpy.QtCore import Signal as QtSignal
from shapely.geometry.base import BaseGeometry

from muse_core.array_types import IntArray
from muse_core.classify.class_head import read_class_head
from muse_core.classify.feature_folder import features_beside, find_features
from muse_core.classify.relearn.asking import ask_next
from muse_core.classify.relearn.carry_over import save_relearned
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.learner import Lesson
from muse_core.classify.relearn.slide_learner import Relabelled, SlideLearner, SlideNuclei, moves
from muse_core.classify.relearn.whole import model_file, relearned_name
from muse_core.errors import UserError
from muse_core.nuclei import Status
from muse_core.nuclei.outlines import inside_any
from muse_core.nuclei.store import SlideIdentity
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.jobs.learning import new_model_path
from napari_muse.jobs.single_shot import once
from napari_muse.session import MuseSession

_SOON_MS = 40
"""Within this corrections become one."""
_ASKED = 200
_CANDIDATES = 20_000


@dataclass(frozen=True)
class Learnt:
    """Result of learning from the corrections of a slide.

    Attributes:
        lesson: What was learnt.
        class_names: The slide's classes.
        moved: (K, K) how many nuclei of each class became which.
        changed_ids: Nuclei that have another class than before.
        to_ask: Ids in the order in which corrections would teach most.
        notes: Sentences for the user.
        seconds: From the request to the classes of all.
        seconds_view: To those of the nuclei in view.
    """

    lesson: Lesson
    class_names: tuple[str, ...]
    moved: npt.NDArray[np.int64]
    changed_ids: IntArray
    to_ask: IntArray
    notes: tuple[str, ...]
    seconds: float
    seconds_view: float = 0.0


@dataclass(frozen=True)
class _Task:
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
    class_map: dict[str, str]
    begun: float


@dataclass(frozen=True)
class _Answer:
    task: _Task
    nuclei: SlideNuclei
    found: Relabelled
    learnt: Learnt
    model: str


class _Mail(QObject):
    """Brings what the thread has to say to the interface."""

    seen = QtSignal(object, object, object)
    answered = QtSignal(object)
    refused = QtSignal(object, str)
    saved = QtSignal(str, str)


class Relearning:
    """Learns in a thread while it is on, whenever a person settles what nuclei are.

    Signals:
        changed: Whether it is on, works, or what came of it.
        taught: The classes of all are those that follow.
        saved: A model was written: its path; or empty, and why not.
    """

    changed = Signal()
    taught = Signal()
    saved = Signal(str, str)

    def __init__(self, session: MuseSession, parent: QObject | None = None) -> None:
        self._session = session
        self._mail = _Mail(parent)
        self._mail.seen.connect(self._on_seen)
        self._mail.answered.connect(self._on_answer)
        self._mail.refused.connect(self._on_refusal)
        self._mail.saved.connect(self.saved.emit)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="muse-relearn")
        self._soon = once(self._start, _SOON_MS, parent)
        self._learner: SlideLearner | None = None
        self._learner_of: object = None
        self._model = Path()
        self._asked_at = 0.0
        self._again = False
        self._agreed = False
        self.method = "logistic"
        self.on = False
        self.busy = False
        self.learnt: Learnt | None = None
        self.refusal = ""
        session.settled.connect(self._on_settled)
        session.slide_changed.connect(self._on_slide)

    def close(self) -> None:
        """Let go of the session; what is under way comes to nothing."""
        self._session.settled.disconnect(self._on_settled)
        self._session.slide_changed.disconnect(self._on_slide)
        self._soon.stop()
        self.on = False
        self._pool.shutdown(wait=False, cancel_futures=True)

    def turn(self, on: bool) -> None:
        """Begin or cease to learn; the first time in a window the person is asked."""
        if on and not self._agreed:
            self._session.ask(
                "From now on each correction changes the classes of nuclei that nobody has looked"
                " at, here and all over the slide. What you have said of a nucleus stays, and"
                " Ctrl-Z takes each step back.",
                "Learn now",
                self._agree,
                self.changed.emit,
            )
            return
        self.on = on
        if on:
            self.request()
        self.changed.emit()

    def request(self) -> None:
        """Learn soon, from all that is settled by then."""
        self._asked_at = self._asked_at or time.perf_counter()
        if not self._soon.isActive():
            self._soon.start()

    @property
    def waiting(self) -> bool:
        """Whether something is about to be learnt."""
        return self._soon.isActive()

    def choose(self, method: str) -> None:
        """Learn by another method from now on."""
        self.method = method
        if self.on:
            self.request()

    def save_model(self) -> None:
        """Write what was learnt as a model, in the thread; :attr:`saved` says how it went.

        Raises:
            UserError: Nothing is learnt yet.
        """
        learnt, learner = self.learnt, self._learner
        if learnt is None or learner is None or not learnt.lesson.n_examples:
            raise UserError("Nothing is learnt yet: correct or confirm a few nuclei first.")
        slide = self._session.require_slide()
        out, scheme = new_model_path(Path(slide.name).stem), self._session.annotations.scheme
        lesson, model = learnt.lesson, self._model

        def save() -> None:
            try:
                save_relearned(learner, lesson, model, scheme, out, slide.name)
            except UserError as error:
                self._mail.saved.emit("", str(error))
            else:
                self._mail.saved.emit(str(out), "")

        self._pool.submit(save)

    def order_to_ask(self) -> IntArray:
        """Ids in the order in which corrections teach most; raises UserError without one."""
        if self.learnt is None:
            raise UserError("Turn on “Learn now” first: the queue then asks what teaches most.")
        return self.learnt.to_ask

    def _agree(self) -> None:
        self._agreed = True
        self.turn(True)

    def _on_settled(self) -> None:
        if self.on:
            self.request()

    def _on_slide(self) -> None:
        self._soon.stop()
        self.learnt, self.refusal, self._asked_at = None, "", 0.0
        self.changed.emit()

    def _start(self) -> None:
        if self.busy:
            self._again = True
            return
        begun, self._asked_at = self._asked_at, 0.0
        try:
            task = self._task(begun or time.perf_counter())
        except UserError as error:
            self._say(str(error))
            return
        self.busy = True
        self._pool.submit(self._work, task)
        self.changed.emit()

    def _task(self, begun: float) -> _Task:
        annotations = self._session.annotations
        if not annotations.has_file:
            raise UserError("There are no nuclei to learn from yet: detect some first.")
        annotations.require_writable()
        store = annotations.store
        if store.detecting:
            raise UserError("A detection is running; correct on when it has ended.")
        entry = find_features(features_beside(store.path), store.slide).facts.model
        return _Task(
            annotations,
            annotations.rows.copy(),
            annotations.class_index(annotations.rows),
            annotations.scheme.names,
            store.reviewed_areas(),
            self._session.nuclei.shown_ids.copy(),
            features_beside(store.path),
            store.slide,
            RelearnConfig(method=self.method),
            self._session.class_map_of(entry),
            begun,
        )

    # In the thread ----------------------------------------------------------------------------

    def _work(self, task: _Task) -> None:
        try:
            self._mail.answered.emit(self._answer(task))
        except UserError as error:
            self._mail.refused.emit(task, str(error))
        except Exception as error:  # What is wrong here must not end napari.
            self._mail.refused.emit(task, f"That failed: {type(error).__name__}: {error}.")

    def _answer(self, task: _Task) -> _Answer:
        nuclei = _nuclei(task)
        learner = self._ready(task, nuclei)
        lesson = learner.learn(nuclei)
        view = np.flatnonzero(np.isin(nuclei.ids, task.in_view))
        seen = learner.relabel(lesson, nuclei, view)
        assert seen is not None  # nobody asks it to stop
        at = time.perf_counter() - task.begun
        self._mail.seen.emit(task, nuclei.ids[seen.at], seen.classes)
        found = learner.relabel(lesson, nuclei)
        assert found is not None
        before = nuclei.classes[found.at]
        learnt = Learnt(
            lesson,
            task.class_names,
            moves(before, found.classes, len(task.class_names)),
            nuclei.ids[found.at[before != found.classes]],
            _to_ask(lesson, nuclei, found, learner),
            (*learner.notes, *lesson.notes, *_missing(learner, nuclei)),
            0.0,
            at,
        )
        return _Answer(task, nuclei, found, learnt, learner.folder.facts.model)

    def _ready(self, task: _Task, nuclei: SlideNuclei) -> SlideLearner:
        """The learner of the slide, made anew where features, classes or method are others."""
        folder = find_features(task.root, task.slide)
        key = (
            folder.path, len(folder), folder.facts, task.class_names, task.config,
            tuple(sorted(task.class_map.items())),
        )  # fmt: skip
        if self._learner is None or key != self._learner_of:
            self._model = model_file(folder)
            self._learner = SlideLearner(
                folder,
                read_class_head(self._model),
                task.class_names,
                nuclei,
                task.class_map,
                task.config,
            )
            self._learner_of = key
        return self._learner

    # Back in the interface --------------------------------------------------------------------

    def _on_seen(self, task: _Task, ids: IntArray, classes: npt.NDArray[np.int64]) -> None:
        """Show the nuclei in view as they are about to be; the store has them a moment later."""
        if self._is_current(task):
            self._session.nuclei.preview(ids, classes)

    def _on_answer(self, answer: _Answer) -> None:
        self.busy = False
        if self._again:
            # What came meanwhile is learnt from first; only then is it written.
            self._again = False
            self._asked_at = self._asked_at or answer.task.begun
            self._start()
            return
        if self._is_current(answer.task):
            self._session.attempt(lambda: self._keep(answer))
        self.changed.emit()

    def _keep(self, answer: _Answer) -> None:
        annotations, found = answer.task.annotations, answer.found
        self.refusal = ""
        if len(answer.learnt.changed_ids):
            class_ids = np.asarray(annotations.class_ids)
            annotations.apply_predictions(
                answer.nuclei.ids[found.at],
                class_ids[found.classes],
                found.probabilities,
                relearned_name(answer.model),
            )
            self._session.nuclei.refresh()
        seconds = time.perf_counter() - answer.task.begun
        self.learnt = replace(answer.learnt, seconds=seconds)
        self.taught.emit()

    def _on_refusal(self, task: _Task, sentence: str) -> None:
        self.busy = False
        if self._again:
            self._again = False
            self._start()
            return
        if self._is_current(task):
            self._say(sentence)

    def _say(self, sentence: str) -> None:
        self.refusal = sentence
        self.changed.emit()

    def _is_current(self, task: _Task) -> bool:
        current = self._session.annotations
        return self.on and task.annotations is current and current.scheme.names == task.class_names


def _nuclei(task: _Task) -> SlideNuclei:
    there = task.rows["status"] != Status.DELETED
    rows = task.rows[there]
    settled = rows["status"] != Status.PREDICTED
    settled |= inside_any(task.areas, rows["x"], rows["y"])
    xy = np.stack([rows["x"], rows["y"]], axis=1)
    return SlideNuclei(rows["id"].copy(), xy, task.classes[there].astype(np.int64), settled)


def _to_ask(
    lesson: Lesson, nuclei: SlideNuclei, found: Relabelled, learner: SlideLearner
) -> IntArray:
    """Ids of the most doubtful nuclei, those at the front unlike each other."""
    open_ = np.flatnonzero(~nuclei.settled[found.at])
    if not len(open_):
        return np.zeros(0, np.int64)
    scores = found.scores[:, open_]
    doubt = 1 - _margin(scores)
    most = np.argpartition(-doubt, min(_CANDIDATES, len(doubt)) - 1)[:_CANDIDATES]
    features = learner.features_of(lesson, found.at[open_[most]])
    order = ask_next(features, doubt[most], _ASKED)
    ids: IntArray = nuclei.ids[found.at[open_[most[order]]]]
    return ids


def _margin(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if len(scores) < 2:
        return np.ones(scores.shape[1], np.float32)
    ordered = np.partition(scores, -2, axis=0)
    return np.asarray(ordered[-1] - ordered[-2])


def _missing(learner: SlideLearner, nuclei: SlideNuclei) -> tuple[str, ...]:
    count = len(learner.without_features(nuclei))
    if not count:
        return ()
    return (f"{count:,} {'nucleus has' if count == 1 else 'nuclei have'} no features.",)
