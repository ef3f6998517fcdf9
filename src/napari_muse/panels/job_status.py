"""Progress bar, cancel button and message of a job."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import Signal
from qtpy.QtWidgets import QProgressBar, QPushButton
from superqt.utils import qthrottled

from muse_core.jobs import Ended, Event, Progress
from napari_muse.panels.forms import push_button, wrapped

_TICK_MS = 250
"""Interval of updates. Each makes Qt repaint the window, and jobs report more than one can read."""


class JobStatus:
    """Progress bar, cancel button and message, which follow a job; the panel lays them out.

    ``ticked`` is emitted on each update, a few times a second at most.
    """

    ticked = Signal()

    def __init__(
        self, start: QPushButton, cancel: Callable[[], None], tooltip: str, sentence: str = ""
    ) -> None:
        """Make the widgets.

        Args:
            start: Starts the job; cannot be pressed while one runs.
            cancel: Asks the job to stop.
            tooltip: Tool tip of the cancel button.
            sentence: Message before the first job.
        """
        self._start = start
        self._cancel = cancel
        self.bar = QProgressBar()
        self.cancel = push_button("Cancel", tooltip, self._on_cancel)
        self.message = wrapped(sentence)
        self._latest: Progress | None = None
        self._tick_soon = qthrottled(self._tick, _TICK_MS, leading=False, parent=self.bar)
        self._show_running(False)

    def say(self, sentence: str) -> None:
        """Show one sentence to the user."""
        self.message.setText(sentence)

    def begin(self) -> None:
        """Show that a job has been started."""
        self._latest = None
        self._fill(0, 0)
        self.say("Starting …")
        self._show_running(True)

    def follow(self, event: Event) -> None:
        """Take an event of the job that is not its last."""
        if isinstance(event, Progress):
            self._latest = event
        self._tick_soon()

    def end(self, event: Ended) -> None:
        """Take the last event of the job."""
        self._tick_soon.cancel()
        self._tick()
        self._show_running(False)
        self.say(event.message)

    def _on_cancel(self) -> None:
        self.cancel.setEnabled(False)
        self.say("Cancelling …")
        self._cancel()

    def _tick(self) -> None:
        event, self._latest = self._latest, None
        if event is not None:
            self._fill(event.done, event.total)
            if self.cancel.isEnabled():
                self.say(f"{event.message}{event.time_left}")
        self.ticked.emit()

    def _fill(self, done: int, total: int) -> None:
        # An empty range is Qt's busy animation, which repaints the whole window.
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)

    def _show_running(self, running: bool) -> None:
        self.bar.setVisible(running)
        self.cancel.setVisible(running)
        self.cancel.setEnabled(running)
        self._start.setEnabled(not running)
