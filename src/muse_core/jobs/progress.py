"""Progress events with an estimate of the time left."""

from __future__ import annotations

import time
from collections.abc import Callable

from muse_core.jobs.events import Emit, Progress

_NEWEST_SHARE = 0.2
"""Weight of the newest measurement in the moving average."""
_MIN_INTERVAL_S = 0.1


class ProgressReporter:
    """Turns (done, total, message) into events, at most ten a second."""

    def __init__(self, emit: Emit, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare.

        Args:
            emit: Takes the events.
            clock: Seconds, never going back.
        """
        self._emit = emit
        self._clock = clock
        self._done = 0
        self._at = clock()
        self._emitted_at = float("-inf")
        self._seconds_each: float | None = None

    def __call__(self, done: int, total: int, message: str) -> None:
        """Report; the first and the last report of a run always become events."""
        now = self._clock()
        if done < self._done:
            self._seconds_each = None
        elif done > self._done:
            newest = (now - self._at) / (done - self._done)
            before = newest if self._seconds_each is None else self._seconds_each
            self._seconds_each = before + _NEWEST_SHARE * (newest - before)
        if done != self._done or done == 0:
            self._done, self._at = done, now
        if now - self._emitted_at < _MIN_INTERVAL_S and 0 < done < total:
            return
        self._emitted_at = now
        left = None if self._seconds_each is None else self._seconds_each * (total - done)
        self._emit(Progress(done, total, message, None if left is None else round(left, 1)))
