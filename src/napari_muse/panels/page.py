"""The content of a tab, and the scroll area it is in."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QScrollArea, QWidget

from napari_muse.panels import forms

_TOP_PX = 5


class UpDownArea(QScrollArea):
    """A scroll area without a frame, whose content is never cut off at the side."""

    def __init__(self, content: QWidget | None = None) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        if content is not None:
            self.setWidget(content)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the width of the content beside a scroll bar; larger fonts need more."""
        content, bar = self.widget(), self.verticalScrollBar()
        least = super().minimumSizeHint()
        if content is None or bar is None:
            return least
        # The style may add a frame.
        beside = bar.sizeHint().width() + 2 * self.frameWidth()
        return least.expandedTo(QSize(content.minimumSizeHint().width() + beside, 0))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Follow the size of the content, which Qt has the area watch; no event is consumed."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


class Page(UpDownArea):
    """Sections one below the other."""

    def __init__(self, *sections: QWidget) -> None:
        content = QWidget()
        forms.column(content, *sections, None).setContentsMargins(0, _TOP_PX, 0, 0)
        super().__init__(content)
