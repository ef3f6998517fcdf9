"""Computing the features of nuclei that have none, as the session sees it."""

from __future__ import annotations

from dataclasses import asdict

from muse_core.errors import UserError
from muse_core.jobs.specs import FeaturesJob
from napari_muse.jobs.session_job import SessionJob
from napari_muse.session import IN_THE_WINDOW


class MissingFeatures(SessionJob):
    """Runs the features job for a session, one at a time."""

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
