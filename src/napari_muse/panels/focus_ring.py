"""A ring in the control that has the keyboard focus, which napari's themes do not show."""

from __future__ import annotations

from contextlib import suppress

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QApplication, QWidget

_WIDTH_PX = 2


class FocusRing(QObject):
    """Marks what has the focus in a panel and in its dialogs."""

    def __init__(self, panel: QWidget) -> None:
        """Follow the focus, until the panel is destroyed."""
        super().__init__(panel)
        self._panel = panel
        self._ring: _Ring | None = None
        app = QApplication.instance()
        if isinstance(app, QApplication):
            app.focusChanged.connect(self._on_focus)

    def _on_focus(self, before: QWidget | None, now: QWidget | None) -> None:
        ring, self._ring = self._ring, None
        if ring is not None:
            with suppress(RuntimeError):  # Deleted with the dialog that it was in.
                ring.hide()
                ring.deleteLater()
        if now is not None and self._is_in_panel(now):
            self._ring = _Ring(now)

    def _is_in_panel(self, widget: QWidget | None) -> bool:
        while widget is not None and widget is not self._panel:
            widget = widget.parentWidget()
        return widget is not None


class _Ring(QWidget):
    """Lies over a widget and leaves the mouse to it."""

    def __init__(self, marked: QWidget) -> None:
        super().__init__(marked)
        self._marked = marked
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setGeometry(marked.rect())
        marked.installEventFilter(self)
        self.show()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Follow the size of the widget; no event is consumed."""
        if event is not None and event.type() == QEvent.Type.Resize:
            self.setGeometry(self._marked.rect())
        return False

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw in the colour of text, which stands out in every theme."""
        painter, inset = QPainter(self), _WIDTH_PX // 2
        painter.setPen(QPen(self.palette().windowText().color(), _WIDTH_PX))
        painter.drawRect(self.rect().adjusted(inset, inset, -inset, -inset))
