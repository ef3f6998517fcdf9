"""Timers that do something once, some time after they are started."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer


def once(act: Callable[[], None], interval_ms: int = 0, parent: QObject | None = None) -> QTimer:
    """Make a timer that is not running yet.

    Args:
        act: What it does, in the thread it was made in.
        interval_ms: After how long, unless ``start`` says so.
        parent: It ends with this.
    """
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(interval_ms)
    timer.timeout.connect(act)
    return timer
