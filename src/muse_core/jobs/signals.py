"""Signals that ask a program to stop: Ctrl-C, ``kill``, a closed terminal or session."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
STOP_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""Those that this system has."""
_HANG_UP = getattr(signal, "SIGHUP", None)


@contextlib.contextmanager
def on_stop_signals(call: Callable[[int], None]) -> Iterator[None]:
    """Call a function when the program is asked to stop, in the main thread.

    Signals that are ignored stay ignored, so that ``nohup`` works, except Ctrl-C. When the terminal
    has been closed, further output is discarded instead of failing.

    In nested blocks, a signal that arrived before the inner block counts for it too: the exception
    of the outer handler may have been lost, as in a library's callback or a finaliser.

    Args:
        call: Gets the number of the signal.
    """
    handler = _Handler(call)
    before: dict[int, Any] = {}
    for number in STOP_SIGNALS:
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    try:
        for number, old in before.items():
            if isinstance(old, _Handler) and number in old.heard:
                handler(number, None)
        yield
    finally:
        for number, old in before.items():
            # None is a handler that was not set by Python, which cannot be set again.
            signal.signal(number, signal.SIG_DFL if old is None else old)


class _Handler:
    """Calls a function for a signal, and remembers which have come."""

    def __init__(self, call: Callable[[int], None]) -> None:
        self.heard: set[int] = set()
        self._call = call
        self._terminals = [number for number in (1, 2) if os.isatty(number)]

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.heard.add(number)
        if number == _HANG_UP:
            discard_output(self._terminals)
        self._call(number)


def discard_output(descriptors: Sequence[int]) -> None:
    """Let what is written to open files from now on, and what is buffered, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in descriptors:
        os.dup2(nowhere, number)
    os.close(nowhere)
