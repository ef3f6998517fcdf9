"""The effect of Ctrl-C at a terminal on the processes that a run has started."""

from __future__ import annotations

import multiprocessing
import os
import signal


def interrupt_children() -> None:
    """Send an interrupt to each; there must be some."""
    children = multiprocessing.active_children()
    assert children
    for child in children:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGINT)


def end_all() -> None:
    """Send each child the signal that ``timeout`` and a closed terminal send to all processes."""
    children = multiprocessing.active_children()
    assert children
    for child in children:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGHUP)
        os.kill(child.pid, signal.SIGTERM)
