"""Learn from each correction at once, for a session ("Learn now")."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
from psygnal import Signal
from qtpy.QtCore import QObject
from qtpy.QtCore import Signal as QtSignal
from superqt.utils import qthrottled

from muse_core.array_types import IntArray
from muse_core.classify.feature_folder import features_beside, find_features
from muse_core.classify.relearn.carry_over import save_relearned
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.whole import relearned_name
from muse_core.errors import UserError
from muse_core.jobs import Ended, Failed
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.jobs.learning import new_model_path
from napari_muse.jobs.missing_features import MissingFeatures
from napari_muse.jobs.relearn_work import Learnt, RelearnAnswer, RelearnTask, RelearnWorker
from napari_muse.session import MuseSession

_SOON_MS = 40
"""Corrections within this time are learnt together."""
_MOST_UNASKED = 200
"""Most added nuclei whose features are computed without asking."""
_PATIENCE_S = 3.0
"""Time after which a result is written although there are newer corrections."""
_HOW = "Correct or confirm a few nuclei of each class; the others follow at once."
_OVERTAKEN = (
    "What was learnt from has changed meanwhile, so nothing was written; the next correction"
    " teaches again."
)


class _Mail(QObject):
    """Brings what the thread has to say to the interface."""

    seen = QtSignal(object, object, object)
    answered = QtSignal(object)
    refused = QtSignal(object, str)
    saved = QtSignal(str, str)


class Relearning:
    """While it is on, learns in a thread whenever a person has confirmed or changed nuclei.

    It also learns when a detection has ended, whose nuclei have the model's own classes. A slide
    that is left before it was learnt from is learnt from when it is shown again.

    Signals:
        changed: Its state or its last result has changed.
        taught: The predicted classes have been written to the store.
        saved: A model was written: its path and ""; or "" and why it could not be.
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
        self._start_soon = qthrottled(self._start, _SOON_MS, leading=False, parent=parent)
        self._worker = RelearnWorker()
        self._asked_at = 0.0
        self._tried: set[int] = set()
        self._again = False
        self._annotations = session.annotations
        self._left: WeakSet[SlideAnnotations] = WeakSet()
        """Slides that were left before they were learnt from."""
        self._agreed = False
        self.method = "logistic"
        self.on = False
        self.busy = False
        self.learnt: Learnt | None = None
        self.refusal = ""
        self.lacks_features = False
        self.missing = MissingFeatures(session, parent)
        self.missing.ended.connect(self._on_computed)
        session.settled.connect(self._on_settled)
        session.slide_changed.connect(self._on_slide)

    def close(self) -> None:
        """Stop following the session; running work is dropped."""
        self._session.settled.disconnect(self._on_settled)
        self._session.slide_changed.disconnect(self._on_slide)
        self._start_soon.cancel()
        self.missing.close()
        self.on = False
        self._pool.shutdown(wait=False, cancel_futures=True)

    def turn(self, on: bool) -> None:
        """Start or stop learning; the first time in a window the user is asked."""
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
        """Learn after a short delay, from all nuclei that are settled by then."""
        self._asked_at = self._asked_at or time.perf_counter()
        self._start_soon()

    @property
    def sentence(self) -> str:
        """The state in one sentence: how to start, what is running, or what was learnt."""
        if not self.on:
            return _HOW
        if self.refusal:
            return self.refusal
        if self.learnt is None:
            return "Learning …" if self.busy or self.waiting else _HOW
        return "\n".join([self.learnt.sentence, *self.learnt.notes])

    @property
    def can_save(self) -> bool:
        """Whether there is a result that can be saved as a model."""
        return self.on and self.learnt is not None and self.learnt.result.n_examples > 0

    @property
    def can_compute(self) -> bool:
        """Whether there are nuclei without features, or those are being computed."""
        without = self.learnt is not None and self.learnt.n_without > 0
        return self.missing.running or (self.on and (self.lacks_features or without))

    @property
    def waiting(self) -> bool:
        """Whether a learning step is due."""
        return self._asked_at > 0

    def choose(self, method: str) -> None:
        """Use another method from now on."""
        self.method = method
        if self.on:
            self.request()

    def save_model(self) -> None:
        """Write what was learnt as a model, in the thread; :attr:`saved` says how it went.

        Raises:
            UserError: Nothing is learnt yet.
        """
        learnt, learner = self.learnt, self._worker.learner
        if learnt is None or learner is None or not learnt.result.n_examples:
            raise UserError("Nothing is learnt yet: correct or confirm a few nuclei first.")
        slide = self._session.require_slide()
        out, scheme = new_model_path(Path(slide.name).stem), self._session.annotations.scheme
        result, model = learnt.result, self._worker.model

        def save() -> None:
            try:
                save_relearned(learner, result, model, scheme, out, slide.name)
            except UserError as error:
                self._mail.saved.emit("", str(error))
            else:
                self._mail.saved.emit(str(out), "")

        self._pool.submit(save)

    def compute_features(self, model: str | None) -> None:
        """Compute the missing features of nuclei, then learn.

        Args:
            model: File of the model to use if there are no features yet.

        Raises:
            UserError: There are no nuclei, or the slide's scale is unknown.
        """
        self.missing.start(str(self._worker.model) if self._learner_is_here() else model)
        self.changed.emit()

    def _learner_is_here(self) -> bool:
        """Whether the features that are learnt from are of the current slide."""
        annotations = self._session.annotations
        if self._worker.learner is None or not annotations.has_file:
            return False
        return self._worker.learner.folder.path.parent == features_beside(annotations.path)

    def _fetch_missing(self, ids: IntArray) -> None:
        """Compute the features of a few added or moved nuclei, once for each."""
        fresh = set(ids.tolist()) - self._tried
        if fresh and len(ids) <= _MOST_UNASKED and not self.missing.running:
            self._tried |= fresh
            self._session.attempt(lambda: self.missing.start(str(self._worker.model)))

    def _on_computed(self, event: Ended) -> None:
        if isinstance(event, Failed):
            self._session.refused.emit(event.message)
        else:
            self.on_detected(self.missing.annotations)
        self.changed.emit()

    def order_to_ask(self) -> IntArray:
        """Ids by how much a correction would teach, most first; raises UserError if unknown."""
        if self.learnt is None:
            raise UserError("Turn on “Learn now” first: the queue then asks what teaches most.")
        return self.learnt.to_ask

    def _agree(self) -> None:
        self._agreed = True
        self.turn(True)

    def on_detected(self, annotations: SlideAnnotations) -> None:
        """Learn from a slide again, if on, because a detection, or what it lacked, has ended."""
        if self.on:
            self._left.add(annotations)
            self._catch_up()

    def _on_settled(self) -> None:
        if self.on:
            self.request()

    def _on_slide(self) -> None:
        self._start_soon.cancel()
        if self.on and (self.waiting or self._again):
            self._left.add(self._annotations)
        self._annotations = self._session.annotations
        self.learnt, self.refusal, self._asked_at, self._again = None, "", 0.0, False
        self._tried, self.lacks_features = set(), False
        self._catch_up()
        self.changed.emit()

    def _catch_up(self) -> None:
        """Learn from the current slide if it was left before it was learnt from."""
        if self.on and not self.busy and self._annotations in self._left:
            self._left.discard(self._annotations)
            self.request()

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

    def _task(self, begun: float) -> RelearnTask:
        annotations = self._session.annotations
        if not annotations.has_file:
            raise UserError("There are no nuclei to learn from yet: detect some first.")
        annotations.require_writable()
        store = annotations.store
        if store.detecting:
            raise UserError(
                "A detection is running; corrections are learnt from when it has ended."
            )
        self.lacks_features = True
        entry = find_features(features_beside(store.path), store.slide).facts.model
        self.lacks_features = False
        return RelearnTask(
            annotations,
            annotations.rows.copy(),
            annotations.class_index(annotations.rows),
            annotations.scheme.names,
            store.reviewed_areas(),
            self._session.nuclei.shown_ids.copy(),
            features_beside(store.path),
            store.slide,
            RelearnConfig(method=self.method),
            self._session.class_maps.of_name(self._session.slide, entry),
            begun,
        )

    # In the thread ----------------------------------------------------------------------------

    def _work(self, task: RelearnTask) -> None:
        try:
            seen = partial(self._mail.seen.emit, task)
            self._mail.answered.emit(self._worker.answer(task, seen))
        except UserError as error:
            self._mail.refused.emit(task, str(error))
        except Exception as error:  # What is wrong here must not end napari.
            self._mail.refused.emit(task, f"That failed: {type(error).__name__}: {error}.")

    # Back in the interface --------------------------------------------------------------------

    def _on_seen(self, task: RelearnTask, ids: IntArray, classes: npt.NDArray[np.int64]) -> None:
        """Show the new classes of the nuclei in view, a moment before the store has them."""
        names = self._session.annotations.scheme.names
        if self._is_current(task) and names == task.class_names:
            self._session.nuclei.preview(ids, classes)

    def _on_answer(self, answer: RelearnAnswer) -> None:
        self._end(answer.task)
        again, self._again = self._again, False
        if again and time.perf_counter() - answer.task.begun < _PATIENCE_S:
            # What came meanwhile is learnt from first; only then is it written.
            self._asked_at = answer.task.begun
            self._start_again(answer.task)
            return
        if self._is_current(answer.task):
            self._session.attempt(lambda: self._keep(answer))
        self._show_stored(answer.task)
        if again:
            self.request()
        self._catch_up()
        self.changed.emit()

    def _keep(self, answer: RelearnAnswer) -> None:
        annotations, found = answer.task.annotations, answer.found
        # Written on top of an undo it would bring back what was undone, out of redo's reach.
        self.refusal = "" if answer.task.holds() else _OVERTAKEN
        if self.refusal:
            return
        if len(answer.learnt.changed_ids):
            class_ids = np.asarray(annotations.class_ids)
            annotations.apply_predictions(
                answer.nuclei.ids[found.at],
                class_ids[found.classes],
                found.probabilities,
                relearned_name(answer.model),
            )
        self.learnt = answer.learnt
        self.taught.emit()
        self._fetch_missing(answer.learnt.unlearnt_ids)

    def _on_refusal(self, task: RelearnTask, sentence: str) -> None:
        self._end(task)
        if self._again:
            self._again = False
            self._start_again(task)
            return
        self._show_stored(task)
        if self._is_current(task):
            self._say(sentence)
        self._catch_up()

    def _end(self, task: RelearnTask) -> None:
        """Note that work has ended, and whether its slide is not shown any more."""
        self.busy = False
        if self.on and task.annotations is not self._annotations:
            self._left.add(task.annotations)

    def _start_again(self, task: RelearnTask) -> None:
        self._start()
        if not self.busy:
            self._show_stored(task)

    def _show_stored(self, task: RelearnTask) -> None:
        """Show the nuclei as the store has them, whether or not the preview was written."""
        if task.annotations is self._session.annotations:
            self._session.nuclei.refresh()

    def _say(self, sentence: str) -> None:
        self.refusal = sentence
        self.changed.emit()

    def _is_current(self, task: RelearnTask) -> bool:
        return self.on and task.annotations is self._session.annotations
