"""The content of a tab."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QScrollArea, QWidget

from napari_muse.panels import forms

_TOP_PX = 5


class Page(QScrollArea):
    """Sections one below the other, which scroll up and down and are never cut off at the side."""

    def __init__(self, *sections: QWidget) -> None:
        super().__init__()
        content = QWidget()
        forms.column(content, *sections, None).setContentsMargins(0, _TOP_PX, 0, 0)
        forms.fill_scrolled(self, content)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the width of the content beside a scroll bar; larger fonts need more."""
        content, bar = self.widget(), self.verticalScrollBar()
        least = super().minimumSizeHint()
        if content is None or bar is None:
            return least
        return least.expandedTo(
            QSize(content.minimumSizeHint().width() + bar.sizeHint().width(), 0)
        )

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Follow the width of the content, which Qt has the area watch; no event is consumed."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))
