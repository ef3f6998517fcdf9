"""Ask before a window is closed in which a model is being trained."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_muse.jobs.learning import Learning
from napari_muse.napari_compat import main_widget
from napari_muse.panels.confirm import ask

if TYPE_CHECKING:
    from napari.components import ViewerModel

_QUESTION = (
    "Fine-tuning is running. Stop it and close? The best model so far is kept; the window closes"
    " when its figures are complete, or at once if you close it again."
)


class CloseQuestion(QObject):
    """Keeps a viewer's window open while a fine-tuning runs, until a person has said to stop it."""

    def __init__(self, viewer: ViewerModel, learning: Learning, panel: QWidget) -> None:
        """Watch.

        Args:
            viewer: Whose window.
            learning: Runs the fine-tuning.
            panel: The question lies over its window.
        """
        super().__init__(panel)
        self._viewer, self._learning, self._panel = viewer, learning, panel
        self._closing: QWidget | None = None
        cast(QWidget, main_widget(viewer).window()).installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Whether the window is not closed yet."""
        if event is None or event.type() != QEvent.Type.Close or not isinstance(watched, QWidget):
            return False
        # A script that closes the viewer has closed what is in the window before, for good.
        is_whole = main_widget(self._viewer).isVisible()
        if self._closing is not None or not is_whole or not self._learning.running:
            return False
        event.ignore()
        stop = partial(self._stop, watched)
        ask(self._panel, _QUESTION, "Stop and close", stop, lambda: None)
        return True

    def _stop(self, window: QWidget) -> None:
        self._closing = window
        if self._learning.running:
            self._learning.ended.connect(self._close)
            self._learning.cancel()
        else:
            self._close()

    def _close(self) -> None:
        window, self._closing = self._closing, None
        if window is not None:
            window.close()
