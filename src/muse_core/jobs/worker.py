"""A job in a separate process: a spec on stdin, events as JSON lines on stdout, log on stderr."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO

from muse_core.errors import UserError
from muse_core.isolation.streams import claim_stdin, claim_stdout
from muse_core.jobs.events import Cancelled, Ended, Event, Failed
from muse_core.jobs.outcome import Outcome
from muse_core.jobs.processor import leave_a_core_for_the_viewer, wait_politely
from muse_core.jobs.run import finish, run_job
from muse_core.jobs.signals import on_stop_signals
from muse_core.jobs.specs import JobSpec, job_from_json

_READ_BYTES = 1 << 16


class EventWriter:
    """Writes events as JSON lines; cancels the job when the reader has closed the pipe."""

    def __init__(self, stream: BinaryIO, cancel: threading.Event) -> None:
        self._stream = stream
        self._cancel = cancel
        self._gone = False

    def __call__(self, event: Event) -> None:
        """Write one event and flush it."""
        if self._gone:
            return
        line = _line(event)
        try:
            self._stream.write(line.encode() + b"\n")
            self._stream.flush()
        except OSError:
            self._gone = True
            self._cancel.set()
            # Else the program would write the buffer again, and show the error, as it ends.
            with suppress(OSError):
                self._stream.close()


def _line(event: Event) -> str:
    data = event.to_json()
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):
        if "result" not in data:
            raise
        # The result cannot be written as JSON; the end of the job must be reported all the same.
        return json.dumps(data | {"result": {}})


def run_worker(ready_for: Sequence[str] = ()) -> int:
    """Run the job that stdin describes.

    Args:
        ready_for: Model, device and precision of a detection to warm up for meanwhile.

    Returns:
        0 done, 1 failed, 2 refused or 130 cancelled.
    """
    cancel = threading.Event()
    wait_politely()
    leave_a_core_for_the_viewer()
    emit = EventWriter(claim_stdout(), cancel)
    given = threading.Event()

    def stop(_: int) -> None:
        cancel.set()
        if not given.is_set():
            # Nothing would ask whether to go on waiting for a job.
            raise KeyboardInterrupt

    with on_stop_signals(stop):
        try:
            if len(ready_for) == 3:
                from muse_core.jobs.readiness import make_ready

                make_ready(*ready_for)
            return _work(emit, cancel, given)
        except KeyboardInterrupt:
            return _exit_code(finish(_refusal(KeyboardInterrupt()), "The job", emit))


def _work(emit: EventWriter, cancel: threading.Event, given: threading.Event) -> int:
    lines = _lines_of(claim_stdin())
    try:
        spec = _read_spec(lines)
        given.set()
    except UserError as error:
        return _exit_code(finish(_refusal(error), "The job", emit))
    listener = threading.Thread(target=_listen, args=(lines, cancel), daemon=True)
    listener.start()
    last = run_job(spec, emit, cancel.is_set)
    if isinstance(last, Failed):
        sys.stderr.write(last.detail)
    return _exit_code(last)


def _exit_code(last: Ended) -> int:
    if isinstance(last, Failed):
        return 1 if last.detail else 2
    return 130 if isinstance(last, Cancelled) else 0


def _read_spec(lines: Iterator[bytes]) -> JobSpec:
    line = next(lines, None)
    if line is None:
        raise UserError("No job was given.")
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"The job is not JSON: {error}.") from error
    return job_from_json(data)


def _refusal(error: BaseException) -> Callable[[], Outcome]:
    def refuse() -> Outcome:
        raise error

    return refuse


def _listen(lines: Iterator[bytes], cancel: threading.Event) -> None:
    """Wait for the cancel command or the end of stdin, which means that the parent has ended."""
    for line in lines:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict) and message.get("command") == "cancel":
            break
        sys.stderr.write(f"ignored a command that is not known: {line!r}\n")
    cancel.set()


def _lines_of(given: BinaryIO) -> Iterator[bytes]:
    """Lines of a stream, read without its buffer.

    A thread that waits in a buffer holds its lock, which makes the interpreter abort at exit.
    """
    rest = b""
    while True:
        try:
            chunk = os.read(given.fileno(), _READ_BYTES)
        except OSError:
            chunk = b""
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest.strip():
        yield rest
