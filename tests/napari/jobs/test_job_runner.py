"""The process that waits for a job with everything loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from qtpy.QtCore import QElapsedTimer

from muse_core.jobs import Cancelled, DetectJob, Done, Ended, Failed
from muse_core.models.registry import resolve_model
from napari_muse.jobs import job_runner
from napari_muse.jobs.job_runner import JobRunner
from napari_muse.panels.muse_panel import MusePanel

JOB = Path(__file__).with_name("talking_job.py")
SPEC = {"mpp": 0.5}


@pytest.fixture(autouse=True)
def allowed(no_ready_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSE_READY_PROCESS")


class Watched:
    """A runner that counts its ends."""

    def __init__(self, runner: JobRunner, qtbot: Any) -> None:
        self.runner, self.qtbot = runner, qtbot
        self.ends: list[Ended] = []
        runner.ended.connect(self.ends.append)

    def waiting_pid(self, other_than: int = 0) -> int:
        def waits() -> bool:
            ready = self.runner._ready
            return ready is not None and ready.processId() not in (0, other_than)

        self.qtbot.waitUntil(waits, timeout=20_000)
        assert self.runner._ready is not None
        return int(self.runner._ready.processId())

    def end(self) -> Ended:
        self.qtbot.waitUntil(lambda: not self.runner.running, timeout=60_000)
        self.qtbot.wait(100)
        assert len(self.ends) == 1, "exactly one end"
        return self.ends[0]


@pytest.fixture
def watched(qtbot: Any, request: pytest.FixtureRequest) -> Iterator[Watched]:
    behaviour = getattr(request, "param", "done")
    runner = JobRunner(command=[sys.executable, str(JOB), behaviour])
    yield Watched(runner, qtbot)
    runner.close()


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_job_is_given_to_the_waiting_process_and_the_next_one_waits(watched: Watched) -> None:
    watched.runner.make_ready("m", "cpu")
    first = watched.waiting_pid()
    watched.runner.start(SPEC)
    assert watched.runner._process is not None
    assert watched.runner._process.processId() == first
    assert isinstance(watched.end(), Done)
    second = watched.waiting_pid(other_than=first)
    watched.runner.close()
    assert gone(second)
    assert not watched.runner.running


def test_one_that_died_while_it_waited_is_not_missed(watched: Watched) -> None:
    watched.runner.make_ready("m", "cpu")
    os.kill(watched.waiting_pid(), signal.SIGTERM)
    watched.qtbot.wait(500)
    watched.runner.start(SPEC)
    assert isinstance(watched.end(), Done)


def test_one_that_dies_as_it_is_given_the_job_is_not_missed(watched: Watched) -> None:
    watched.runner.make_ready("m", "cpu")
    os.kill(watched.waiting_pid(), signal.SIGKILL)
    # Qt has not been notified yet.
    watched.runner.start(SPEC)
    assert isinstance(watched.end(), Done)


@pytest.mark.parametrize("watched", ["die"], indirect=True)
def test_a_job_that_dies_at_work_is_not_repeated(watched: Watched) -> None:
    watched.runner.make_ready("m", "cpu")
    watched.waiting_pid()
    started: list[Any] = []
    watched.runner.said.connect(started.append)
    watched.runner.start(SPEC)
    assert isinstance(watched.end(), Failed)
    assert len([event for event in started if event.name == "started"]) == 1


@pytest.mark.parametrize("watched", ["wait"], indirect=True)
def test_a_job_of_the_waiting_process_can_be_cancelled(watched: Watched) -> None:
    watched.runner.make_ready("m", "cpu")
    watched.waiting_pid()
    watched.runner.start(SPEC)
    watched.runner.cancel()
    assert isinstance(watched.end(), Cancelled)


def test_for_another_model_another_process_waits(watched: Watched) -> None:
    watched.runner.make_ready("m", "cpu")
    first = watched.waiting_pid()
    watched.runner.make_ready("m", "cpu")
    watched.qtbot.wait(1000)
    assert watched.waiting_pid() == first
    watched.runner.make_ready("other", "cpu")
    watched.waiting_pid(other_than=first)
    assert gone(first)


def test_who_wants_none_has_none(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_READY_PROCESS", "0")
    watched.runner.make_ready("m", "cpu")
    watched.qtbot.wait(1000)
    assert watched.runner._ready is None


def test_the_panel_keeps_one_for_the_chosen_model_and_ends_it(
    panel: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    watched = Watched(panel.detection.runner, qtbot)
    pid = watched.waiting_pid()
    assert panel.detection.runner._ready is not None
    model = panel.detect.model.currentData()
    assert panel.detection.runner._ready.arguments()[-3:] == [model, "auto", "auto"]
    panel.session.viewer.open(small_slide, plugin="napari-muse")
    panel.detection.start(DetectJob(slide="", model=str(resolve_model("muse-small"))), ())
    assert isinstance(watched.end(), Done)
    again = watched.waiting_pid(other_than=pid)
    panel.close()
    panel.release()
    assert gone(pid)
    assert gone(again)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled jobs are looked at every half second, and a little work is enough."""
    monkeypatch.setattr(job_runner, "_LOOK_MS", 500)
    monkeypatch.setattr(job_runner, "_IDLE_S", 0.01)


def _start_and_cancel(watched: Watched) -> int:
    begun: list[Any] = []
    watched.runner.said.connect(begun.append)
    watched.runner.start(SPEC)
    watched.qtbot.waitUntil(lambda: len(begun) == 3)
    assert watched.runner._process is not None
    pid = int(watched.runner._process.processId())
    watched.runner.cancel()
    return pid


@pytest.fixture
def patient(looked_at: None, watched: Watched) -> Watched:
    watched.runner.patience_ms = 3_000
    return watched


@pytest.mark.parametrize("watched", ["busy"], indirect=True)
def test_a_cancelled_job_has_its_time_while_it_works(patient: Watched) -> None:
    clock = QElapsedTimer()
    clock.start()
    pid = _start_and_cancel(patient)
    assert isinstance(patient.end(), Cancelled)
    assert clock.hasExpired(3_000)
    assert gone(pid)


@pytest.mark.skipif(sys.platform == "win32", reason="no process can be stopped there")
@pytest.mark.parametrize("watched", ["busy"], indirect=True)
def test_a_stopped_job_is_not_waited_for(patient: Watched) -> None:
    patient.runner.patience_ms = 3_600_000
    os.kill(_start_and_cancel(patient), signal.SIGSTOP)
    assert isinstance(patient.end(), Cancelled)


def test_a_job_that_is_left_completes_what_it_keeps(tmp_path: Path, qtbot: Any) -> None:
    kept, may_end = tmp_path / "kept", tmp_path / "may_end"
    runner = JobRunner(command=[sys.executable, str(JOB), "complete", str(kept), str(may_end)])
    said: list[Any] = []
    for signal_of in (runner.said, runner.ended):
        signal_of.connect(said.append)
    runner.start(SPEC)
    qtbot.waitUntil(lambda: len(said) == 3)
    runner.let_end()
    assert not runner.running
    qtbot.waitUntil(kept.is_file)
    may_end.touch()
    qtbot.waitUntil(lambda: kept.read_text() == "complete")
    assert len(said) == 3, "nobody hears of it any more"


_PROGRAM = """
import sys
from pathlib import Path
from qtpy.QtCore import QCoreApplication, QTimer
from napari_muse.jobs.job_runner import JobRunner

app = QCoreApplication([])
runner = JobRunner(command=sys.argv[1:])
runner.start({"mpp": 0.5})
kept, may_end = map(Path, sys.argv[-2:])
app.aboutToQuit.connect(lambda: may_end.touch())

def end():
    if kept.is_file():
        app.quit()
    else:
        QTimer.singleShot(20, end)

runner.said.connect(lambda _: runner.let_end() if runner.running else None)
end()
app.exec()
"""


def test_a_program_that_ends_waits_for_a_job_that_was_left(tmp_path: Path) -> None:
    kept, may_end = tmp_path / "kept", tmp_path / "may_end"
    job = [sys.executable, str(JOB), "complete", str(kept), str(may_end)]
    subprocess.run([sys.executable, "-c", _PROGRAM, *job], check=True, timeout=120)
    assert kept.read_text() == "complete"
