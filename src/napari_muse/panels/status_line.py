"""Sentence on the last action, with a button that takes it back."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QWidget

from napari_muse.panels.forms import push_button, row, wrapped


class StatusLine(QWidget):
    """One sentence below the panel, and Undo where it names what can be undone."""

    def __init__(self, undo: Callable[[], object], sentence: str = "") -> None:
        super().__init__()
        self._message = wrapped(sentence)
        self.undo = push_button("Undo", "Take back what was just done (Ctrl-Z)")
        self.undo.hide()
        self.undo.clicked.connect(undo)
        row(self._message, self.undo, stretch=0, parent=self)

    def text(self) -> str:
        """Text of the line."""
        return self._message.text()

    def say(self, sentence: str, can_undo: bool = False) -> None:
        """Show a sentence, until something is done."""
        self._message.setText(sentence)
        self.undo.setVisible(can_undo)

    def clear(self) -> None:
        """Say nothing."""
        self.say("")
