"""Run the features job, which computes missing features of nuclei, for a session."""

from __future__ import annotations

from muse_core.errors import UserError
from muse_core.jobs.specs import FeaturesJob
from napari_muse.jobs.session_job import SessionJob


class MissingFeatures(SessionJob):
    """Runs the features job for a session, one at a time."""

    def start(self, model: str | None) -> None:
        """Compute the missing features of the current slide's nuclei.

        Args:
            model: File of the model to compute them with.

        Raises:
            UserError: There is no slide, its MPP is unknown, it has no nuclei, or its file has been
                replaced.
        """
        if self.running:
            return
        of_slide = self._of_slide()
        annotations = self._session.annotations
        if not annotations.has_file:
            raise UserError("There are no nuclei yet: detect some first.")
        annotations.require_same_slide()
        job = FeaturesJob(store=str(annotations.path), model=model, **of_slide)
        self._run(job.to_json())
