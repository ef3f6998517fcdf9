"""Ctrl-C reaches every process at the terminal; only that of the run is to decide what it ends."""

from __future__ import annotations

import signal


def leave_interrupts_to_the_run(worker: int) -> None:
    """Ignore Ctrl-C in a process that prepares batches, so that the run can end in order.

    Args:
        worker: Its number, as ``worker_init_fn`` of a DataLoader is given it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
