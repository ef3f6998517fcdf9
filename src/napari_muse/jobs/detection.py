"""Run detections for a session: hide the nuclei they replace, add new ones, and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QElapsedTimer, QObject
from shapely import box
from shapely.geometry.base import BaseGeometry
from superqt.utils import qthrottled

from muse_core.array_types import FloatArray, IntArray, Mask
from muse_core.classify.feature_folder import features_beside, move_features
from muse_core.errors import UserError
from muse_core.files import make_folder
from muse_core.files.user_folders import user_data_folder
from muse_core.jobs import (
    Cancelled,
    DetectionStarted,
    DetectJob,
    Ended,
    Event,
    Failed,
    NucleiFound,
)
from muse_core.jobs.detect_checks import job_shapes
from muse_core.nuclei import ClassScheme, Status
from muse_core.nuclei.outlines import outline_area
from muse_core.slides import PolygonRegion, Region, Slide
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.jobs.look_again import areas_again
from napari_muse.jobs.session_job import SessionJob
from napari_muse.jobs.unfinished import Unfinished, keeping_folder, unfinished_detection
from napari_muse.session import MuseSession

_SAME_NUCLEUS_UM = 3.0
_PACE_MS = 250
_REST = 3
"""Least interval between two repaints, as a multiple of the duration of one."""


class Detection(SessionJob):
    """Runs detection jobs for a session, one at a time.

    New predictions replace those in the searched area. Reviewed regions and nuclei that a person
    has looked at stay as they are, and predictions on top of them are dropped. Nuclei are on disk
    before they are shown. If the job fails, the old predictions are restored; if it is
    cancelled or the program dies, they are restored wherever the job had not searched yet.
    """

    def __init__(
        self, session: MuseSession, parent: QObject | None = None, command: Sequence[str] = ()
    ) -> None:
        super().__init__(session, parent, command)
        self._shapes: Sequence[Region | PolygonRegion] = ()
        self._bounds = Region(0, 0, 1, 1)
        self._last: WeakKeyDictionary[SlideAnnotations, Sequence[Region | PolygonRegion]] = (
            WeakKeyDictionary()
        )
        self._begun = False
        self._spares_reviewed = False
        self._refusal = ""
        self._aside: Path | None = None
        self._mapping: dict[str, str] = {}
        self._class_ids = np.zeros(0, dtype=np.int32)
        self._model = ""
        self._mpp = 1.0
        self._waiting: list[NucleiFound] = []
        self._take_soon = qthrottled(self._take_waiting, leading=False, parent=self.runner)

    def start(
        self,
        job: DetectJob,
        shapes: Sequence[Region | PolygonRegion],
        mapping: Mapping[str, str] | None = None,
    ) -> None:
        """Start a job over the current slide.

        Args:
            job: Model, device and score; slide, MPP and shapes are filled in here.
            shapes: Areas to search; none means the whole slide.
            mapping: The model's classes to the slide's; other classes keep their names.

        Raises:
            UserError: There is no slide, its MPP is unknown, its store cannot be written, its file
                has been replaced, or a job is running already.
        """
        if self.running:
            raise UserError("A detection is running; wait for its end or cancel it.")
        slide, of_slide = self._session.require_slide(), self._of_slide()
        self._session.annotations.require_writable()
        self._session.annotations.require_same_slide()
        regions = [s for s in shapes if isinstance(s, Region)]
        polygons = [s for s in shapes if isinstance(s, PolygonRegion)]
        job = replace(
            job,
            **of_slide,
            region=[regions[0].x, regions[0].y, regions[0].w, regions[0].h] if regions else None,
            polygons=[[list(v) for v in p.vertices] for p in polygons] or None,
            features_in=str(self._feature_folder()),
            focus=job.focus or self._focus(),
            keep_in=self._keeping_folder(slide),
        )
        self._shapes = tuple(shapes)
        self._begun = False
        self._bounds, self._mpp = slide.bounds, of_slide["mpp"]
        self._mapping, self._spares_reviewed = dict(mapping or {}), False
        # What comes first is shown at once.
        self._take_soon.setTimeout(0)
        self._waiting, self._refusal = [], ""
        self._run(job.to_json())
        self._last[self._annotations] = self._shapes

    def unfinished(self) -> Unfinished | None:
        """The unfinished detection of the current slide, if there is one."""
        slide = self._session.slide
        return None if slide is None or self.running else unfinished_detection(slide)

    def finish(self, unfinished: Unfinished) -> None:
        """Resume a detection; its earlier nuclei are added again, followed by the rest.

        Raises:
            UserError: See :meth:`start`.
        """
        job = unfinished.job
        names = self._session.class_maps.of_file(self._session.slide, job.model or "")
        self.start(job, job_shapes(job), names)

    @staticmethod
    def _keeping_folder(slide: Slide) -> str | None:
        folder = keeping_folder(slide)
        if folder is None:
            return None
        make_folder(folder)
        return str(folder)

    def make_ready(self, model: str | None, device: str, precision: str) -> None:
        """Let a process load the model that is likely to be used next; None ends the process."""
        self.runner.make_ready(*(() if model is None else (model, device, precision)))

    def _focus(self) -> list[float] | None:
        """The middle of what is on screen, level-0 pixels."""
        try:
            seen = self._session.visible_region()
        except UserError:
            return None
        return [seen.x + seen.w / 2, seen.y + seen.h / 2]

    def shapes_again(self) -> list[Region | PolygonRegion] | None:
        """Return the areas to search so that all predictions of the slide are replaced.

        Returns:
            Shapes, none for the whole slide; None if it has no predictions.
        """
        annotations, last = self._session.annotations, self._last.get(self._session.annotations)
        rows = annotations.rows[annotations.rows["status"] == Status.PREDICTED]
        if last is None and not len(rows):
            return None
        xy = np.stack([rows["x"], rows["y"]], axis=1)
        return areas_again(xy, last, self._session.require_slide().bounds)

    def close(self) -> None:
        """Stop for good; nuclei found so far are kept, as after a cancel."""
        running = self.running
        self.runner.close()
        if running:
            self._settle(Cancelled.name)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, DetectionStarted):
            started = event
            self._guarded(lambda: self._begin(started))
        elif isinstance(event, NucleiFound):
            self._waiting.append(event)
            self._take_soon()
        else:
            self._tell(event)

    def _begin(self, event: DetectionStarted) -> None:
        theirs = ClassScheme.from_json(list(map(dict, event.classes))).classes
        kept = tuple(c for c in theirs if self._mapping.get(c.name, c.name) == c.name)
        if kept:
            self._annotations.adopt_scheme(ClassScheme(kept))
        self._model = event.model
        self._annotations.begin_detection(self._searched(), _SAME_NUCLEUS_UM / self._mpp)
        self._begun = True
        # By id, for a person may rename or add classes meanwhile.
        ours = self._annotations.store.class_ids
        names = [self._mapping.get(c.name, c.name) for c in theirs]
        self._class_ids = np.array([ours[name] for name in names], dtype=np.int32)
        self._spares_reviewed = any(
            area.intersects(place)
            for area in self._annotations.store.reviewed_areas()
            for place in self._places()
        )

    def _guarded(self, act: Callable[[], None]) -> None:
        """Run an operation on the store; if it fails, the job is cancelled."""
        try:
            act()
        except UserError as error:
            self._refusal = str(error)
            self.cancel()

    def _take_waiting(self) -> None:
        """Add the nuclei received since the last call to the annotations, and show them."""
        self._take_soon.cancel()
        events, self._waiting = self._waiting, []
        if not events or not self._begun or self._refusal:
            return
        x, y, score, index = (
            np.concatenate([np.asarray(getattr(e, name)) for e in events])
            for name in ("x", "y", "score", "class_index")
        )
        clock = QElapsedTimer()
        clock.start()
        uncertainty = {
            name: np.concatenate([np.asarray(getattr(e, name)) for e in events])
            for name in ("entropy", "margin")
        }
        self._guarded(lambda: self._keep(x, y, index, score, uncertainty))
        if self._annotations is self._session.annotations:
            self._session.nuclei.refresh()
        # Painting many points takes long; the user's own clicks and keys come in between.
        self._take_soon.setTimeout(max(_PACE_MS, _REST * clock.elapsed()))

    def _keep(
        self,
        x: FloatArray,
        y: FloatArray,
        index: IntArray,
        score: FloatArray,
        uncertainty: Mapping[str, FloatArray],
    ) -> None:
        classes = self._class_ids[index.astype(np.intp)]
        self._annotations.append(
            x, y, classes, score, self._model, _SAME_NUCLEUS_UM / self._mpp, **uncertainty
        )

    def _on_end(self, event: Ended) -> None:
        try:
            self._settle(event.name)
        finally:
            # Whatever happens, those who wait hear of the end.
            self._tell_end(self._last_word(event))

    def _last_word(self, event: Ended) -> Ended:
        if self._refusal:
            return Failed(self._refusal)
        notes = list(event.result.get("notes", ()))
        if self._spares_reviewed:
            notes.append("Reviewed regions were left as they are.")
        if self._annotations is self._session.annotations and self._session.mpp != self._mpp:
            notes.append(
                f"That is at {self._mpp:g} µm/pixel, which has been changed since; detect again."
            )
        return replace(event, message=" ".join([event.message, *notes]))

    def _settle(self, how: str) -> None:
        """Bring the annotations to their final state after a job, however it ended."""
        self._take_waiting()
        if self._begun:
            self._begun = False
            self._guarded(lambda: self._annotations.end_detection(how))
            self._guarded(self._keep_features)
            self._session.rest_unseen()

    def _feature_folder(self) -> Path:
        """Return the job's feature folder: beside the store, or a temporary one without a store."""
        annotations = self._session.annotations
        if annotations.has_file:
            self._aside = None
            return features_beside(annotations.path)
        self._aside = user_data_folder() / "features" / uuid4().hex
        return self._aside

    def _keep_features(self) -> None:
        aside, self._aside = self._aside, None
        if aside is not None and self._annotations.has_file:
            move_features(aside, features_beside(self._annotations.path))

    def _searched(self) -> Mask:
        """(N,) which rows lie in the searched area."""
        rows = self._annotations.rows
        if not self._shapes:
            return np.ones(len(rows), dtype=bool)
        inside = np.zeros(len(rows), dtype=bool)
        for shape in self._shapes:
            inside |= shape.contains(rows["x"], rows["y"])
        return inside

    def _places(self) -> list[BaseGeometry]:
        """Return the areas that the job looks at."""
        areas = (
            box(s.x, s.y, s.x1, s.y1) if isinstance(s, Region) else outline_area(s.vertices)
            for s in self._shapes or (self._bounds,)
        )
        return [area for area in areas if area is not None]
