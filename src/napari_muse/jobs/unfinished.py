"""Unfinished detections of a slide, which a window that is opened later can resume."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from muse_core.detect.kept_run import about_run, unfinished_runs
from muse_core.errors import UserError
from muse_core.files.user_folders import user_data_folder
from muse_core.jobs import DetectJob
from muse_core.nuclei.store.locate import ANNOTATIONS_VARIABLE
from muse_core.slides import Slide
from muse_core.slides.content import Content, content_of

STEM = "detect"
_DIGITS = 16


@dataclass(frozen=True)
class Unfinished:
    """A detection that can be resumed.

    Attributes:
        job: The job as it was started.
    """

    job: DetectJob


def keeping_folder(slide: Slide) -> Path | None:
    """Folder in which detections of a slide are kept while they run; None without a file."""
    try:
        if slide.path.is_file() and content_of(slide.path) is Content.WINDOW:
            return None
        if not slide.path.exists():
            return None
    except OSError:
        return None
    chosen = os.environ.get(ANNOTATIONS_VARIABLE)
    root = Path(chosen) if chosen else user_data_folder()
    which = f"{os.path.realpath(slide.path)}#{slide.part}"
    return root / ".unfinished" / hashlib.sha256(which.encode()).hexdigest()[:_DIGITS]


def unfinished_detection(slide: Slide) -> Unfinished | None:
    """The last unfinished detection of a slide, if there is one."""
    folder = keeping_folder(slide)
    if folder is None or not folder.is_dir():
        return None
    runs = sorted(unfinished_runs(folder / STEM), key=lambda run: run.stat().st_mtime)
    for run in reversed(runs):
        about = about_run(run)
        try:
            job = DetectJob.from_json(dict((about or {})["job"]))
        except (UserError, LookupError, TypeError, ValueError):
            continue
        return Unfinished(job)
    return None
