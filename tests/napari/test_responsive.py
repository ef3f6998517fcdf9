"""What keeps the window responsive while a job runs; benchmarks/heartbeat.py measures times."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from qtpy.QtCore import Qt

from muse_core.jobs.events import Done, LossMeasured, Progress
from muse_core.nuclei import reviewed
from napari_muse.jobs.job_runner import JobRunner
from napari_muse.panels.muse_panel import MusePanel

from .actions import press

JOB = Path(__file__).parent / "jobs" / "talking_job.py"
_REGIONS, _LEARN = 2, 3


def _jobs() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if str(JOB) in p.cmdline()]


def test_a_job_makes_way_for_the_interface(qtbot: Any) -> None:
    runner = JobRunner(command=[sys.executable, str(JOB), "wait"])
    runner.start({"mpp": 0.5})
    # Until the new process executes the job it has the name of this one.
    qtbot.waitUntil(lambda: bool(_jobs()), timeout=20_000)
    (job,) = _jobs()
    # On Windows a priority is a number too, but lower numbers have lower priority.
    later = job.nice() > psutil.Process().nice()
    runner.cancel()
    qtbot.waitUntil(lambda: not runner.running, timeout=20_000)
    assert later or sys.platform == "win32"


def test_what_a_job_says_is_drawn_a_few_times_only(
    opened: MusePanel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = opened.learn
    opened.tabs.setCurrentIndex(_LEARN)
    # As if a job of this slide had started.
    opened.learning._annotations = opened.session.annotations
    learn.status.begin()
    assert learn.status.bar.maximum() > 0, "no animation, which paints the window all the time"
    draws: list[str] = []
    learn.status.ticked.connect(lambda: draws.append(learn.message.text()))
    work = []
    for step in range(300):
        begin = time.thread_time()
        opened.learning._on_event(LossMeasured(step, 1.0))
        opened.learning._on_event(Progress(step, 300, f"step {step}"))
        work.append(time.thread_time() - begin)
    assert not draws, "nothing is painted event by event"
    assert max(work) < 0.05, "seconds the thread was at work for one event"
    qtbot.waitUntil(lambda: len(draws) > 0, timeout=5000)
    assert draws == ["step 299"]
    assert len(learn.curves.lines["loss"].getData()[0]) == 300
    opened.learning._on_event(Progress(0, 0, "of nobody knows"))
    qtbot.waitUntil(lambda: "nobody" in learn.message.text(), timeout=5000)
    assert learn.status.bar.maximum() > 0
    learn.status.end(Done("Over."))
    assert learn.message.text() == "Over."


def test_what_is_reviewed_is_counted_beside_the_interface(
    opened: MusePanel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    count = reviewed.annotation_summary

    def counted(*args: Any) -> Any:
        threads.append(threading.get_ident())
        return count(*args)

    monkeypatch.setattr(reviewed, "annotation_summary", counted)
    press(opened, qtbot, Qt.Key.Key_R)
    opened.tabs.setCurrentIndex(_LEARN)
    qtbot.waitUntil(lambda: "1 field reviewed" in opened.learn.uses.text(), timeout=60_000)
    for nucleus in (1, 2, 3):
        opened.session.annotations.set_class([nucleus], 2)
    qtbot.waitUntil(lambda: "tumor: 3 (3 corrected)" in opened.learn.uses.text(), timeout=60_000)
    opened.learn.start.click()
    qtbot.waitUntil(lambda: "Only 3 nuclei" in opened.status.text(), timeout=60_000)
    assert threading.get_ident() not in threads


def test_regions_are_counted_once_for_many_edits(
    opened: MusePanel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = opened.session.annotations
    annotations.add_region([(0, 0), (400, 0), (400, 300), (0, 300)], reviewed=False, name="all")
    opened.tabs.setCurrentIndex(_REGIONS)
    qtbot.wait(400)
    counts: list[int] = []
    count = type(annotations).counts_of

    def counted(self: Any, at: Any) -> Any:
        counts.append(len(at))
        return count(self, at)

    monkeypatch.setattr(type(annotations), "counts_of", counted)
    for turn in range(10):
        annotations.set_class([1, 2, 3], 1 + turn % 2)
    table = opened.regions.table
    qtbot.waitUntil(lambda: table.item(0, 5).text() == "3", timeout=5000)
    assert counts == [3]
