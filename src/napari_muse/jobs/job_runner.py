"""Start a muse_core job in a separate process and relay its events."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import psutil
from qtpy.QtCore import (
    QCoreApplication,
    QElapsedTimer,
    QObject,
    QProcess,
    QProcessEnvironment,
    Signal,
)
from superqt.utils import qdebounced

from muse_core.errors import UserError
from muse_core.jobs import Cancelled, Ended, Failed, event_from_json
from muse_core.slides.window import job_variables

_LOG = logging.getLogger(__name__)
_LOOK_MS = 10_000
"""Interval between two looks at a cancelled job."""
_IDLE_S = 0.1
"""Processor time between two looks that a job needs which does something."""
_READY_AFTER_MS = 500
"""Delay after the panel is opened, a model is chosen or a job has ended, which come in bursts."""
_LAST_WAIT_MS = 120_000
"""Time that the program waits at its end for a job to complete what it keeps."""
_CANCEL = b'{"command": "cancel"}\n'
_VARIABLE = "MUSE_READY_PROCESS"
_NICE = psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 5


class JobRunner(QObject):
    """Run one job at a time.

    Signals:
        said: Every Event of the job that is not its last.
        ended: The last one, an Ended, exactly once for each job.

    Attributes:
        patience_ms: Time that a cancelled job has to end by itself; one that does nothing any more,
            such as a stopped process, has ten seconds.
    """

    said = Signal(object)
    ended = Signal(object)

    def __init__(self, parent: QObject | None = None, command: Sequence[str] = ()) -> None:
        """Prepare.

        Args:
            parent: Owner.
            command: Program and arguments in place of ``python -m muse_core.jobs``.
        """
        super().__init__(parent)
        self._command = list(command) or [sys.executable, "-m", "muse_core.jobs"]
        self._process: QProcess | None = None
        self._rest = b""
        self._last: Ended | None = None
        self.patience_ms = _LOOK_MS
        self._look_late = qdebounced(self._look, _LOOK_MS, parent=self)
        self._since_cancel = QElapsedTimer()
        self._used_s = 0.0
        self._cancelling = False
        self._ready: QProcess | None = None
        self._ready_for: tuple[str, ...] = ()
        self._renew_soon = qdebounced(self._renew, _READY_AFTER_MS, parent=self)
        self._spec = b""
        self._may_repeat = False

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self._process is not None

    def start(self, spec: Mapping[str, Any]) -> None:
        """Start a job; raises RuntimeError while one is running."""
        if self.running:
            raise RuntimeError("a job is running")
        self._rest, self._last, self._cancelling = b"", None, False
        self._spec = json.dumps(dict(spec)).encode() + b"\n"
        ready, self._ready = self._ready, None
        if ready is not None and not _is_alive(ready):
            self._drop(ready)
            ready = None
        self._may_repeat = ready is not None
        self._give(ready or self._prepared())

    def make_ready(self, *ready_for: str) -> None:
        """Keep a process ready that has loaded what the next job is likely to need.

        It is started after a short delay, and again after each job; if it dies, the next job starts
        without it. MUSE_READY_PROCESS=0 in the environment disables it, which saves its memory.

        Args:
            ready_for: Further arguments of the command; none ends the process.
        """
        self._ready_for = ready_for if os.environ.get(_VARIABLE) != "0" else ()
        self._renew_soon()

    def _renew(self) -> None:
        """Replace the waiting process by one for what is wanted now."""
        if self.running:
            return  # the end of the job comes back to it
        if self._ready is not None:
            wanted = [*self._command[1:], *self._ready_for]
            if self._ready_for and _is_alive(self._ready) and self._ready.arguments() == wanted:
                return
            self._drop(self._ready)
            self._ready = None
        if self._ready_for:
            self._ready = self._prepared(*self._ready_for)
            self._launch(self._ready)

    def _prepared(self, *arguments: str) -> QProcess:
        process = QProcess(self)
        process.setProcessEnvironment(job_environment())
        process.setProgram(self._command[0])
        process.setArguments([*self._command[1:], *arguments])
        return process

    def _launch(self, process: QProcess) -> None:
        process.start()
        self._make_way(process.processId())

    def _give(self, process: QProcess) -> None:
        """Give a process the job."""
        self._process = process
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._log)
        process.finished.connect(self._finish)
        process.errorOccurred.connect(self._on_error)
        if not _is_alive(process):
            self._launch(process)
        process.write(self._spec)

    @staticmethod
    def _make_way(pid: int) -> None:
        """Lower the priority of a job, which uses all cores, below the interface's."""
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).nice(_NICE)

    def cancel(self) -> None:
        """Ask the job to stop; it is killed if it does not, see :attr:`patience_ms`."""
        if self._process is None or self._cancelling:
            return
        self._cancelling = True
        self._process.write(_CANCEL)
        self._since_cancel.start()
        self._used_s = _processor_time_s(self._process.processId())
        self._look_late()

    def close(self) -> None:
        """Stop all processes for good, without a last event, when the window closes."""
        self._look_late.cancel()
        self._renew_soon.cancel()
        processes = (self._process, self._ready)
        self._process = self._ready = None
        for process in processes:
            if process is not None:
                self._drop(process)

    @staticmethod
    def _drop(process: QProcess) -> None:
        process.blockSignals(True)
        process.kill()
        process.waitForFinished(2000)
        process.deleteLater()

    def let_end(self) -> None:
        """Stop like :meth:`close`, but let the job itself complete what it keeps.

        The program does not end before, though all of its windows are closed.
        """
        process, self._process = self._process, None
        self.close()
        app = QCoreApplication.instance()
        if process is None or app is None:
            return
        for signal in (process.readyReadStandardOutput, process.readyReadStandardError):
            signal.disconnect()
        process.finished.disconnect()
        process.finished.connect(process.deleteLater)
        process.setParent(app)
        # Qt kills the processes of a program that ends.
        wait = partial(process.waitForFinished, _LAST_WAIT_MS)
        app.aboutToQuit.connect(wait)
        process.finished.connect(lambda *_: app.aboutToQuit.disconnect(wait))
        process.write(_CANCEL)

    def _look(self) -> None:
        """Kill a cancelled job that has had its time, or does nothing any more."""
        if self._process is None:
            return
        before, self._used_s = self._used_s, _processor_time_s(self._process.processId())
        if self._since_cancel.hasExpired(self.patience_ms) or self._used_s < before + _IDLE_S:
            self._process.kill()
        else:
            self._look_late()

    def _read(self) -> None:
        if self._process is None:
            return
        new: bytes = self._process.readAllStandardOutput().data()
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            event = event_from_json(json.loads(line))
        except (ValueError, RecursionError, UserError):
            _LOG.warning("a job said what is no event: %r", line[:200])
            return
        self._may_repeat = False
        if isinstance(event, Ended):
            self._last = self._last or event
        else:
            self.said.emit(event)

    def _log(self) -> None:
        if self._process is not None:
            text = self._process.readAllStandardError().data().decode(errors="replace").strip()
            if text:
                _LOG.info("%s", text)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._last = Failed("Python could not be started for the job.")
            self._finish()

    def _finish(self, *_: object) -> None:
        if self._process is None:
            return
        self._read()
        self._look_late.cancel()
        self._process.deleteLater()
        self._process = None
        if self._may_repeat and self._last is None and not self._cancelling:
            # The process that was started in advance had died before the job reached it.
            self._may_repeat = False
            self._give(self._prepared())
            return
        if self._ready_for:
            self._renew_soon()
        last = self._last
        if last is None and self._cancelling:
            last = Cancelled("Stopped.")
        self.ended.emit(last or Failed("The job ended without a word; it may have been killed."))


def _is_alive(process: QProcess) -> bool:
    return process.state() != QProcess.ProcessState.NotRunning


def _processor_time_s(pid: int) -> float:
    """Processor time that a process and its children have used; 0 where there is none."""
    used = 0.0
    with contextlib.suppress(psutil.Error):
        job = psutil.Process(pid)
        for process in (job, *job.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                used += times.user + times.system
    return used


def job_environment() -> QProcessEnvironment:
    """The environment of a process that runs jobs, which may read the images of this window."""
    environment = QProcessEnvironment.systemEnvironment()
    for name, value in job_variables().items():
        environment.insert(name, value)
    return environment
