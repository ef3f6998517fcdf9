"""Requests to stop reach all processes of a run; only the first is to decide what it ends."""

from __future__ import annotations

import signal
from types import FrameType


def leave_interrupts_to_the_run(worker: int) -> None:
    """Let a process that prepares batches outlive requests to stop, so that the run ends in order.

    Ctrl-C and the end of a terminal go to every process there, and so do the signals of ``timeout``
    and of service managers. A second SIGTERM is obeyed: that is how the run itself ends a process
    that hangs.

    Args:
        worker: Its number, as ``worker_init_fn`` of a DataLoader is given it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _obey_the_next)


def _obey_the_next(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
