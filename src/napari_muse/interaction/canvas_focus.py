"""Return the keyboard focus to the canvas after a click in the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QChildEvent, QEvent, QObject, QTimer
from qtpy.QtWidgets import QAbstractButton, QApplication, QComboBox, QTabBar, QWidget

from napari_muse.napari_compat import canvas_widget

if TYPE_CHECKING:
    from napari.components import ViewerModel


class CanvasFocus(QObject):
    """Gives the canvas the focus after a click on a button, tick, tab or choice of a panel.

    Otherwise Space would press the button again, and a digit would select from the list. The focus
    stays in the panel when it is used by keyboard, or when a click moves it to an input field.
    """

    def __init__(self, viewer: ViewerModel, panel: QWidget) -> None:
        super().__init__(panel)
        self._canvas = canvas_widget(viewer)
        self._before: QWidget | None = None
        self._opened_by_mouse = False
        self._watch(panel)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Observe events; none is consumed."""
        kinds = QEvent.Type
        kind = None if event is None else event.type()
        if isinstance(event, QChildEvent) and kind == kinds.ChildPolished:
            child = event.child()
            if isinstance(child, QWidget) and not child.isWindow():
                self._watch(child)
        elif isinstance(watched, QAbstractButton | QTabBar):
            if kind == kinds.MouseButtonPress:
                self._before = QApplication.focusWidget()
            elif kind == kinds.MouseButtonRelease:
                QTimer.singleShot(0, lambda: self._after_click(watched))
        elif isinstance(watched, QComboBox) and kind in (kinds.MouseButtonPress, kinds.KeyPress):
            self._opened_by_mouse = kind == kinds.MouseButtonPress
        return False

    def _watch(self, widget: QWidget) -> None:
        widget.installEventFilter(self)
        if isinstance(widget, QComboBox):
            widget.activated.connect(self._after_choice)
        for child in widget.children():
            if isinstance(child, QWidget) and not child.isWindow():
                self._watch(child)

    def _after_click(self, clicked: QWidget) -> None:
        now, before = QApplication.focusWidget(), self._before
        self._before = None
        # What was clicked may have led to a field, where something is to be typed.
        if now is None or now is before or now is clicked:
            self._give_back()

    def _after_choice(self) -> None:
        if self._opened_by_mouse:
            self._give_back()

    def _give_back(self) -> None:
        self._canvas.setFocus()
