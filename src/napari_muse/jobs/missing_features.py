"""Computing the features of nuclei that have none, as the session sees it."""

from __future__ import annotations

from dataclasses import asdict

from psygnal import Signal
from qtpy.QtCore import QObject

from muse_core.errors import UserError
from muse_core.jobs import Ended, Event
from muse_core.jobs.specs import FeaturesJob
from napari_muse.jobs.job_runner import JobRunner
from napari_muse.session import IN_THE_WINDOW, MuseSession


class MissingFeatures:
    """Runs the features job for a session, one at a time."""

    progress = Signal(Event)
    ended = Signal(Ended)

    def __init__(self, session: MuseSession, parent: QObject | None = None) -> None:
        self._session = session
        self.runner = JobRunner(parent)
        self.runner.said.connect(self.progress.emit)
        self.runner.ended.connect(self.ended.emit)

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self.runner.running

    def start(self, model: str | None) -> None:
        """Compute what the nuclei of the current slide lack.

        Args:
            model: The model that is to see them, by its file.

        Raises:
            UserError: There is no slide, its MPP is unknown, it has no nuclei, or another file has
                its place by now.
        """
        if self.running:
            return
        slide = self._session.require_slide()
        mpp = slide.require_mpp(IN_THE_WINDOW)
        annotations = self._session.annotations
        if not annotations.has_file:
            raise UserError("There are no nuclei yet: detect some first.")
        annotations.require_same_slide()
        job = FeaturesJob(
            str(slide.path),
            str(annotations.store.path),
            model,
            mpp,
            **asdict(slide.choice),
            force_mpp=True,
        )
        self.runner.start(job.to_json())

    def cancel(self) -> None:
        """Ask the job to stop; what is computed by then is kept."""
        self.runner.cancel()
