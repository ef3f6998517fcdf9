"""Line with a sentence on the last action and a button to undo it."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from napari_muse.panels import forms
from napari_muse.panels.undo_buttons import UndoButtons
from napari_muse.session import MuseSession


class StatusLine(UndoButtons, QWidget):
    """Label with the last sentence of the session, and Undo where that can be undone."""

    def __init__(self, session: MuseSession) -> None:
        super().__init__()
        self._session = session
        self._message = forms.wrapped(session.trouble)
        self.undo.hide()
        forms.within(forms.row(self._message, self.undo, stretch=0), self)
        self.follow(self.say, session.refused, session.told)
        self.follow(self._say_done, session.done)
        self.follow(self._clear, session.annotations_changed, session.regions_changed)

    def text(self) -> str:
        """Text of the line."""
        return self._message.text()

    def say(self, sentence: str) -> None:
        """Show a sentence until the next action."""
        self._message.setText(sentence)
        self.undo.hide()

    def _say_done(self, sentence: str) -> None:
        self._message.setText(sentence)
        self.undo.show()

    def _clear(self) -> None:
        self.say("")
