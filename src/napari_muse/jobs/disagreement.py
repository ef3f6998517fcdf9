"""Run the disagree job, which compares nuclei that look alike, for a session."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QObject

from muse_core.errors import UserError
from muse_core.jobs import DisagreementFound, Ended, Event, Failed
from muse_core.jobs.specs import DisagreeJob
from muse_core.models.device_names import DeviceName
from napari_muse.jobs.session_job import SessionJob
from napari_muse.session import MuseSession


class Comparison(SessionJob):
    """Runs the disagree job for a session and writes the result to the slide's store."""

    def __init__(self, session: MuseSession, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self._refusal = ""

    def start(self, model: str | None, device: DeviceName) -> None:
        """Compare the nuclei of the current slide.

        Raises:
            UserError: There is no slide, its MPP is unknown, it has no nuclei, its store cannot be
                written, or another file has its place by now.
        """
        of_slide = self._of_slide()
        annotations = self._session.annotations
        if not annotations.has_file:
            raise UserError("There are no nuclei to compare yet: detect some first.")
        annotations.require_writable()
        annotations.require_same_slide()
        job = DisagreeJob(store=str(annotations.path), model=model, device=device, **of_slide)
        self._refusal = ""
        self._run(job.to_json())

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, DisagreementFound):
            self._tell(event)
            return
        ids = np.asarray(event.ids, dtype=np.int64)
        try:
            self._annotations.set_uncertainty(ids, disagreement=event.disagreement)
        except UserError as error:
            self._refusal = str(error)
        self._session.rest_unseen()

    def _on_end(self, event: Ended) -> None:
        self._tell_end(Failed(self._refusal) if self._refusal else event)
