"""The parent, which starts a process, watches it, and returns its result or raises its error."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import IO, Any

import psutil

from muse_core.errors import UserError
from muse_core.isolation.limits import Limits

_LOG = logging.getLogger(__name__)
_POLL_S = 0.03
_CHUNK_BYTES = 1 << 20
_LOG_BYTES = 1 << 14
_NUMBER_BYTES = 32
_QUIET = {
    # Numerical libraries reserve memory for each thread, which would count towards the limit.
    "OMP_NUM_THREADS": "2",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "PYTHONWARNINGS": "ignore",
}


class CancelledError(UserError):
    """The work was cancelled by the user."""


def run_isolated(
    module: str,
    task: Mapping[str, Any],
    limits: Limits,
    name: str,
    should_cancel: Callable[[], bool] = lambda: False,
) -> memoryview:
    """Run a module in a separate process; may be called in any thread.

    Args:
        module: Run as ``python -m``; it calls :func:`muse_core.isolation.child.serve`.
        task: JSON-able, for its work.
        limits: It is stopped when it goes beyond.
        name: What is read, to begin sentences with.
        should_cancel: Asked about thirty times a second.

    Returns:
        The bytes that the work returned.

    Raises:
        CancelledError: should_cancel said so.
        UserError: The work was refused, or the process crashed or went beyond a limit.
    """
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **_QUIET},
            # On Windows, else a console would flash up.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise UserError(f"{name} was not read: Python could not be started.") from error
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    said, log = _Drain(process.stdout), _Drain(process.stderr, _LOG_BYTES)
    try:
        request = {"task": dict(task), "limits": asdict(limits)}
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            pass  # it has died already, which is told below
        broken_off = _watch(process, said, limits, should_cancel)
    finally:
        process.kill()
        process.wait()
        said.join()
        log.join()
        process.stdin.close()
    if log.data:
        _LOG.info("%s", bytes(log.data).decode(errors="replace"))
    if broken_off == "cancelled":
        raise CancelledError(f"Reading {name} was cancelled.")
    return _result(said.data, broken_off, process.returncode, name, limits)


class _Drain(threading.Thread):
    """Reads a pipe to its end.

    Attributes:
        data: What has come, the first ``most`` bytes of it.
    """

    def __init__(self, pipe: IO[bytes], most: int | None = None) -> None:
        super().__init__(daemon=True)
        self.data = bytearray()
        self._pipe, self._most = pipe, most
        self.start()

    def run(self) -> None:
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), _CHUNK_BYTES):
                room = len(chunk) if self._most is None else self._most - len(self.data)
                self.data += chunk[: max(0, room)]


def _watch(
    process: subprocess.Popen[bytes],
    said: _Drain,
    limits: Limits,
    should_cancel: Callable[[], bool],
) -> str:
    """Wait for the end of the process; returns why it must be killed, "" if it has ended."""
    began = time.monotonic()
    watched: psutil.Process | None = None
    start_s: float | None = None
    at_start = 0
    while True:
        said.join(_POLL_S)
        if not said.is_alive():
            return ""
        if should_cancel():
            return "cancelled"
        if time.monotonic() - began > limits.wall_s:
            return "time"
        worker = _worker_of(said.data)
        try:
            if watched is None or worker not in (0, watched.pid):
                # The process that was started may only have started it, as the Python of a
                # virtual environment on Windows does.
                watched, start_s = psutil.Process(worker or process.pid), None
            cpu, memory = watched.cpu_times(), watched.memory_info().rss
        except psutil.Error:
            continue  # it has just ended
        at_start = at_start or memory
        if not worker or start_s is None:
            # It still loads libraries, which takes a slow machine longer than reading a file.
            start_s = cpu.user + cpu.system
        if cpu.user + cpu.system - start_s > limits.cpu_s:
            return "time"
        if memory > at_start + limits.memory_bytes:
            return "memory"


def _worker_of(data: bytearray) -> int:
    """Return the id of the process that does the work, 0 until it has begun."""
    number, line_end, _ = bytes(data[:_NUMBER_BYTES]).partition(b"\n")
    return int(number) if line_end else 0


def _result(data: bytearray, broken_off: str, code: int, name: str, limits: Limits) -> memoryview:
    begin = data.find(b"\n") + 1
    end = data.find(b"\n", begin) if begin else -1
    if broken_off == "time":
        raise UserError(
            f"{name} is damaged or far too complex: reading it was stopped after"
            f" {limits.cpu_s:.0f} seconds of computing."
        )
    outcome = json.loads(data[begin:end]) if end >= 0 and not broken_off else {}
    kind = broken_off or outcome.get("kind", "crashed")
    if kind == "crashed" and not begin:
        # It has not seen the file yet: too few threads, a broken package, or someone killed it.
        raise UserError(
            f"{name} was not read: the process that reads such files ended before it began."
        )
    if kind == "memory" or (kind == "crashed" and _is_out_of_memory(code)):
        raise UserError(
            f"{name} is damaged or too large: reading it would take more than"
            f" {limits.memory_bytes / 1e9:.1f} GB of memory."
        )
    if kind == "crashed":
        raise UserError(f"{name} is damaged: the library that reads such files crashed on it.")
    if kind == "refused":
        raise UserError(outcome["message"])
    if kind == "failed":
        raise UserError(f"{name} is damaged and cannot be read: {outcome['message']}.")
    return memoryview(data)[end + 1 :]


def _is_out_of_memory(code: int) -> bool:
    """Whether the system has killed the process, which it does when its memory is full."""
    return sys.platform == "linux" and code == -9
