"""Base of dialogs about one slide, which end when another is shown."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QWidget

from napari_muse.interaction.following import Following
from napari_muse.session import MuseSession


class SlideDialog(Following, QDialog):
    """A dialog about the slide that is shown when it opens.

    It does not hold up the window: a slide that was being opened may be shown before it is
    answered. It is rejected then.
    """

    def __init__(self, session: MuseSession, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._session = session
        self._annotations = session.annotations
        self.follow(self._on_slide, session.slide_changed)
        self.finished.connect(self.disconnect_all)

    def _on_slide(self) -> None:
        if self._session.annotations is not self._annotations:
            self.reject()
            # A name that was being typed may have gone to its slide.
            self._session.rest_unseen()
