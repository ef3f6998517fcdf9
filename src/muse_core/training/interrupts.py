"""Signals to stop reach all processes of a run; only the main process may act on them."""

from __future__ import annotations

import signal
from types import FrameType


def leave_interrupts_to_the_run(worker: int) -> None:
    """Let a process that prepares batches ignore signals, so that the main process can end the run.

    Ctrl-C and the closing of a terminal signal every process in it, as do ``timeout`` and service
    managers. A second SIGTERM is obeyed, because that is how the run ends a process that hangs.

    Args:
        worker: Its number, as ``worker_init_fn`` of a DataLoader is given it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _obey_the_next)


def _obey_the_next(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
