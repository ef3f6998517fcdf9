"""Run fine-tuning on the corrections of the current slide, for a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from muse_core.errors import UserError
from muse_core.files import is_being_written, make_folder
from muse_core.finetune.presets import resolved
from muse_core.jobs import Ended, Failed
from muse_core.jobs.specs import FinetuneJob
from muse_core.models.card import MODEL_SUFFIX
from muse_core.models.registry import ModelEntry, list_models, user_model_folder
from napari_muse.jobs.background import Background
from napari_muse.jobs.finetune_outcome import FinetuneOutcome
from napari_muse.jobs.session_job import SessionJob
from napari_muse.jobs.training_curves import TrainingCurves
from napari_muse.session import IN_THE_WINDOW, MuseSession

if TYPE_CHECKING:
    from muse_core.nuclei.reviewed import AnnotationSummary


_PATIENCE_MS = 600_000
"""Time that a cancelled run has to complete its step and to score the best model so far."""


class Learning(SessionJob):
    """Runs the finetune job for a session, one at a time."""

    def __init__(self, session: MuseSession, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.runner.patience_ms = _PATIENCE_MS
        self.outcome: FinetuneOutcome | None = None
        self.curves = TrainingCurves()
        self.progress.connect(self.curves.add)
        self._background = Background()

    def close(self) -> None:
        """Stop for good; the best model until then is kept, and completed by the job itself."""
        self.runner.let_end()

    @property
    def counting(self) -> bool:
        """Whether the data that a run would use is being counted."""
        return self._background.busy

    def count(
        self, then: Callable[[AnnotationSummary | None], None], failed: Callable[[str], None]
    ) -> None:
        """Count the data that a run would use, in the background.

        Args:
            then: Gets the counts; None at once where there is nothing to count.
            failed: Gets a sentence for the user.
        """
        annotations, mpp = self._session.annotations, self._session.mpp
        if not annotations.has_file or mpp is None:
            then(None)
            return
        path = annotations.path
        self._background.do(lambda: _summary_of(path, mpp), then, failed)

    def stop_counting(self) -> None:
        """Drop all callbacks that wait for counts."""
        self._background.close()

    def start(self, model: str, mode: str, device: str, summary: AnnotationSummary | None) -> None:
        """Fine-tune a model on what is reviewed.

        Args:
            model: Path of the model to start from.
            mode: "adapt" or "full".
            device: auto, cpu, cuda or mps.
            summary: What :meth:`count` has counted.

        Raises:
            UserError: There is no slide, its MPP is unknown, or too little is reviewed.
        """
        slide = self._session.require_slide()
        mpp = slide.require_mpp(IN_THE_WINDOW)
        if summary is None:
            raise UserError("Nothing is reviewed yet: press R over a field you have looked at.")
        if summary.problems:
            raise UserError(summary.problems[0])
        self.outcome = None
        self.curves.clear()
        store = {
            "store": self._session.annotations.path,
            "slide": slide.path,
            "mpp": mpp,
            "force_mpp": True,
            "channels": slide.choice.channels,
        }
        config = resolved(
            {
                "out": new_model_path(slide.path.stem),
                "base": model,
                "stores": [store],
                "mode": mode,
                "device": device,
                "class_map": self._class_map(model),
                # A run that was cancelled before it had a model knew fewer corrections; a
                # checkpoint of hundreds of megabytes would stay if the window were killed.
                "resume": False,
                "resumable": False,
            }
        )
        self._run(FinetuneJob(config).to_json())

    def _class_map(self, model: str) -> dict[str, str]:
        """Return the person's mapping of the model's classes to those that the slide still has."""
        there = self._session.annotations.scheme.names
        said = self._session.class_maps.of_file(self._session.slide, model)
        return {old: new for old, new in said.items() if new in there}

    def _on_end(self, event: Ended) -> None:
        result = event.result
        path = result.get("model")
        if not isinstance(event, Failed):
            self.outcome = FinetuneOutcome(
                Path(path) if path else None,
                result.get("before"),
                result.get("after"),
                tuple(result.get("notes", ())),
            )
        self.ended.emit(event)


def _summary_of(path: Path, mpp: float) -> AnnotationSummary:
    from muse_core.nuclei.reviewed import annotation_summary
    from muse_core.nuclei.store import AnnotationStore

    with AnnotationStore.open(path, read_only=True) as store:
        return annotation_summary(store, mpp)


def new_model_path(stem: str) -> Path:
    """A free file in the user's folder for a model fine-tuned on a slide."""
    folder = user_model_folder()
    make_folder(folder)
    number = 1
    # A model that another window is training has no file yet.
    while (path := folder / f"{stem}-{number}{MODEL_SUFFIX}").exists() or is_being_written(path):
        number += 1
    return path


def parent_of(entry: ModelEntry) -> ModelEntry | None:
    """The model that a model was fine-tuned from, if it is still on this machine."""
    wanted = entry.card.parent
    return next((m for m in list_models() if wanted in (m.name, m.card.name)), None)
