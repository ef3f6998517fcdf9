"""SessionJob: base class of a session's jobs, with one process at a time and its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QObject

from muse_core.jobs import Ended, Event, Progress
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.interaction.which_slide import with_slide
from napari_muse.jobs.job_runner import JobRunner
from napari_muse.session import IN_THE_WINDOW, MuseSession


class SessionJob:
    """One kind of job of a session; subclasses handle its results.

    Signals:
        progress: An event of the job that is to be shown, except the last one.
        ended: The last event, exactly once for each job.
    """

    progress = Signal(Event)
    ended = Signal(Ended)

    def __init__(
        self, session: MuseSession, parent: QObject | None = None, command: Sequence[str] = ()
    ) -> None:
        """Create the runner; for ``parent`` and ``command`` see :class:`JobRunner`."""
        self._session = session
        self._annotations: SlideAnnotations = session.annotations
        self.runner = JobRunner(parent, command)
        self.runner.said.connect(self._on_event)
        self.runner.ended.connect(self._on_end)

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self.runner.running

    @property
    def annotations(self) -> SlideAnnotations:
        """Annotations of the slide of the last job."""
        return self._annotations

    def cancel(self) -> None:
        """Ask the job to stop; its results so far are kept."""
        self.runner.cancel()

    def close(self) -> None:
        """Stop for good, without a last event, when the window closes."""
        self.runner.close()

    def _of_slide(self) -> dict[str, Any]:
        """Return the fields of a job that identify the current image and its scale.

        Raises:
            UserError: No slide is open, or its MPP is unknown.
        """
        slide = self._session.require_slide()
        mpp = slide.require_mpp(IN_THE_WINDOW)
        # What the window shows is settled, whatever the file states.
        return {"slide": str(slide.path), "mpp": mpp, "force_mpp": True, **asdict(slide.choice)}

    def _run(self, spec: Mapping[str, Any]) -> None:
        """Start a job of the current slide."""
        self._annotations = self._session.annotations
        self.runner.start(spec)

    def _with_slide(self, sentence: str) -> str:
        """Return a sentence, with the slide's name if another slide is shown by now."""
        return with_slide(self._session, self._annotations, sentence)

    def _tell(self, event: Event) -> None:
        """Emit progress, with the slide's name if another slide is shown by now."""
        if isinstance(event, Progress):
            event = replace(event, message=self._with_slide(event.message))
        self.progress.emit(event)

    def _tell_end(self, event: Ended) -> None:
        """Emit the end, with the slide's name if another slide is shown by now."""
        self.ended.emit(replace(event, message=self._with_slide(event.message)))

    def _on_event(self, event: Event) -> None:
        self._tell(event)

    def _on_end(self, event: Ended) -> None:
        self._tell_end(event)
