"""Detection over many slides, with a file for each; finished slides are skipped."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muse_core.detect.differences import facts_of_key
from muse_core.errors import UserError
from muse_core.files import digest_of
from muse_core.jobs.detect_job import (
    MakeDetector,
    content_of_key,
    load_detector,
    run_detect,
    run_key,
)
from muse_core.jobs.events import Cancelled, Emit, Ended, Event, Failed, Progress
from muse_core.jobs.results_folder import (
    ResultsFolder,
    SlideRecord,
    content_digest,
    name_of_slide,
    record_of,
)
from muse_core.jobs.run import finish
from muse_core.jobs.slide_list import ListedSlide
from muse_core.jobs.specs import DetectJob

if TYPE_CHECKING:
    from muse_core.detect import DetectConfig, Detector

_SUMMARY_EVERY_S = 10.0
_KEPT_FIGURES = (
    "nuclei", "counts", "tissue_mm2", "seconds", "mpp", "device", "model", "unreadable_px", "notes"
)  # fmt: skip


@dataclass(frozen=True)
class SlideEnd:
    """Outcome of one of many slides.

    Attributes:
        job: The job.
        record: Result file and figures, or the error.
        skipped: Whether an earlier run had finished it.
        cancelled: Whether it was cancelled.
        detail: Traceback of an unexpected error, or "".
    """

    job: DetectJob
    record: SlideRecord
    skipped: bool = False
    cancelled: bool = False
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no result although it was not cancelled."""
        return bool(self.record.error) and not self.cancelled


class SharedDetector:
    """Loads a model once for all slides that use the same one."""

    def __init__(self, make: MakeDetector) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[Path, DetectConfig, Detector] | None = None

    def __call__(self, model: Path, config: DetectConfig) -> Detector:
        """See :data:`MakeDetector`."""
        with self._lock:
            if self._made is None or self._made[:2] != (model, config):
                self._made = (model, config, self._make(model, config))
            return self._made[2]


@dataclass(frozen=True)
class _Task:
    job: DetectJob
    record: SlideRecord
    where: str


@dataclass
class ManySlides:
    """A run over many slides.

    Attributes:
        slides: The slides, in order.
        template: Job with the settings that all slides share.
        results: Folder for their files.
        images: Whether to process each image of a file.
        features: Whether to keep the features of nuclei, beside their file.
        make: Loads a model.
        at_once: Number of slides processed in parallel; more than one pays only if the workers of a
            cluster do the work.
        ends: How the slides, or their images, ended so far.
        stopped: Whether it was cancelled before all were done.
    """

    slides: Sequence[ListedSlide]
    template: DetectJob
    results: ResultsFolder
    images: bool = False
    features: bool = False
    make: MakeDetector = load_detector
    at_once: int = 1
    ends: list[SlideEnd] = field(default_factory=list)
    stopped: bool = False

    def run(
        self,
        emit: Emit,
        should_cancel: Callable[[], bool],
        on_end: Callable[[int, SlideEnd], None],
    ) -> Path:
        """Process all slides; an error in one does not stop the others.

        Args:
            emit: Takes progress events.
            should_cancel: Asked between batches of tiles, and slides.
            on_end: Told the number of a slide, from 1, and how it or one of its images ended.

        Returns:
            The summary, a CSV file.

        Raises:
            UserError: The model cannot be used, or the summary cannot be written.
        """
        names = self._class_names()
        numbers = {listed.path: n for n, listed in enumerate(self.slides, start=1)}
        written = time.monotonic()
        make = SharedDetector(self.make)

        def look(task: _Task) -> SlideEnd | None:
            return None if should_cancel() else self._one(task, emit, should_cancel, make)

        for end in self._map(look, self._tasks()):
            if end is None:
                self.stopped = True
                break
            self.stopped |= end.cancelled
            self.ends.append(end)
            on_end(numbers[end.job.slide], end)
            if time.monotonic() - written > _SUMMARY_EVERY_S:
                self._summarise(names)
                written = time.monotonic()
        return self._summarise(names)

    def _map(
        self, look: Callable[[_Task], SlideEnd | None], tasks: Iterator[_Task]
    ) -> Iterator[SlideEnd | None]:
        """Yield the outcomes of the tasks in order; up to ``at_once`` of them run in parallel."""
        if self.at_once == 1:
            yield from map(look, tasks)
            return
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="slide") as pool:
            waiting: deque[Future[SlideEnd | None]] = deque()
            for task in tasks:
                waiting.append(pool.submit(look, task))
                if len(waiting) > self.at_once:
                    yield waiting.popleft().result()
            yield from (future.result() for future in waiting)

    def _class_names(self) -> Sequence[str]:
        from muse_core.models.card import read_card
        from muse_core.models.registry import resolve_model

        card = read_card(resolve_model(self.template.model))
        card.require_detector()
        return [c["name"] for c in card.classes]

    def _summarise(self, names: Sequence[str]) -> Path:
        return self.results.write_summary((end.record for end in self.ends), names)

    def _tasks(self) -> Iterator[_Task]:
        """The jobs of all slides, one for each image where all are wanted."""
        for number, listed in enumerate(self.slides):
            where = f"[{number + 1}/{len(self.slides)}] {name_of_slide(listed.path)}"
            job = replace(self.template, slide=listed.path)
            if listed.mpp is not None:
                job = replace(job, mpp=listed.mpp)
            count = _count_images(job) if self.images else 1
            if count == 1:
                yield self._named(job, None, where)
                continue
            for image in range(1, count + 1):
                yield self._named(replace(job, image=image), image, where)

    def _named(self, job: DetectJob, image: int | None, where: str) -> _Task:
        """A job with the file it writes."""
        name = self.results.name_for(job.slide, image)
        out = str(self.results.folder / name)
        job = replace(job, out_csv=out, features_in=f"{out}.features" if self.features else None)
        return _Task(job, record_of(job.slide, name, image), where)

    def _one(
        self, task: _Task, emit: Emit, should_cancel: Callable[[], bool], make: MakeDetector
    ) -> SlideEnd:
        job, record = task.job, task.record
        try:
            key = _key(job)
            content = content_of_key(key)
            record = replace(record, key=digest_of(key), facts=facts_of_key(key), content=content)
        except UserError as error:
            return self._kept(SlideEnd(job, replace(record, error=str(error))))
        before = self.results.finished(record.result, record.key)
        if before is not None and job.resume:
            now = before.of_slide_now_at(record)
            end = SlideEnd(job, now, skipped=True)
            return end if now == before else self._kept(end)
        note = self.results.why_anew(record)

        def said(event: Event) -> None:
            if isinstance(event, Progress):
                emit(replace(event, message=f"{task.where}: {event.message}"))

        last = finish(lambda: run_detect(job, said, should_cancel, make), job.title, lambda _: None)
        return self._kept(_end_of(job, record, last, note))

    def _kept(self, end: SlideEnd) -> SlideEnd:
        try:
            if not end.record.error:
                sha256 = content_digest(self.results.folder / end.record.result)
                end = replace(end, record=replace(end.record, sha256=sha256))
            self.results.keep(end.record)
        except (UserError, OSError) as error:
            end = replace(end, record=replace(end.record, error=str(error)))
        return end


def _end_of(job: DetectJob, record: SlideRecord, last: Ended, note: str) -> SlideEnd:
    figures: Mapping[str, Any] = {
        key: last.result[key] for key in _KEPT_FIGURES if key in last.result
    }
    if note:
        figures = {**figures, "notes": [note, *figures.get("notes", ())]}
    if isinstance(last, Failed):
        return SlideEnd(job, replace(record, error=last.message), detail=last.detail)
    if isinstance(last, Cancelled):
        return SlideEnd(job, replace(record, figures=figures, error=last.message), cancelled=True)
    return SlideEnd(job, replace(record, figures=figures))


def _key(job: DetectJob) -> dict[str, object]:
    """Return the key of a job's result; opens the slide."""
    from muse_core.models.registry import resolve_model
    from muse_core.slides import open_slide

    with open_slide(job.slide, job.mpp, job.choice, job.force_mpp) as slide:
        return run_key(job, slide, resolve_model(job.model))


def _count_images(job: DetectJob) -> int:
    """Return the number of images of a slide; 1 where it cannot be opened, as its run will say."""
    from muse_core.slides import ImageChoice, open_slide

    try:
        with open_slide(job.slide, choice=ImageChoice(None, None, job.channels)) as slide:
            return slide.n_images
    except UserError:
        return 1
