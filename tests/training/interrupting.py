"""What Ctrl-C at a terminal does to the processes that a run has started."""

from __future__ import annotations

import multiprocessing
import os
import signal


def interrupt_children() -> None:
    """Send each an interrupt; there must be some."""
    children = multiprocessing.active_children()
    assert children
    for child in children:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGINT)


def end_all() -> None:
    """Send each child what ``timeout`` and a closed terminal send to all processes of a run."""
    children = multiprocessing.active_children()
    assert children
    for child in children:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGHUP)
        os.kill(child.pid, signal.SIGTERM)
