"""The Tab key on the canvas, which Qt would take for moving the focus before napari sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent

from napari_muse.napari_compat import canvas_widget

if TYPE_CHECKING:
    from napari.components import ViewerModel


class TabKey(QObject):
    """Calls an action when Tab is pressed on the canvas; elsewhere Tab keeps its meaning."""

    def __init__(self, viewer: ViewerModel, action: Callable[[], bool]) -> None:
        super().__init__()
        self._action = action
        self._canvas = canvas_widget(viewer)
        self._canvas.installEventFilter(self)

    def close(self) -> None:
        """Give the key back."""
        self._canvas.removeEventFilter(self)

    def eventFilter(self, _: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Whether the event was ours."""
        return (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and event.key() == Qt.Key.Key_Tab
            and event.modifiers() == Qt.KeyboardModifier.NoModifier
            and self._action()
        )
