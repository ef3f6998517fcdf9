"""Correcting: add mode and the list of keys."""

from __future__ import annotations

from qtpy.QtWidgets import QFormLayout, QGroupBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from napari_muse.keys import HELP, Keys
from napari_muse.session import MuseSession


class EditPanel(QGroupBox):
    """Buttons for what the keys do, and the keys themselves."""

    def __init__(self, session: MuseSession, keys: Keys) -> None:
        super().__init__("Correct")
        self._session = session
        self._keys = keys
        self.add = QPushButton("Add nuclei")
        self.add.setCheckable(True)
        self.add.setToolTip("While this is on, a click adds a nucleus of the class ticked as new")
        self.undo = QPushButton("Undo")
        self.undo.setToolTip("Take back the last correction (Ctrl-Z)")
        self.redo = QPushButton("Redo")
        self.redo.setToolTip("Do again what was taken back (Ctrl-Shift-Z)")
        row = QHBoxLayout()
        for button in (self.add, self.undo, self.redo):
            row.addWidget(button)
        keys_form = QFormLayout()
        keys_form.setVerticalSpacing(2)
        for key, meaning in HELP:
            name = QLabel(f"<b>{key}</b>")
            text = QLabel(meaning)
            text.setWordWrap(True)
            keys_form.addRow(name, text)
        whole = QVBoxLayout(self)
        whole.addLayout(row)
        whole.addLayout(keys_form)
        self.add.toggled.connect(keys.set_add_mode)
        self.undo.clicked.connect(lambda: session.attempt(session.book.undo))
        self.redo.clicked.connect(lambda: session.attempt(session.book.redo))
        session.nuclei.layer.events.mode.connect(self._on_mode)
        session.slide_changed.connect(self._on_slide)
        self._on_slide()
        self._on_mode()

    def disconnect_all(self) -> None:
        """Stop following the session."""
        self._session.slide_changed.disconnect(self._on_slide)
        self._session.nuclei.layer.events.mode.disconnect(self._on_mode)

    def _on_slide(self) -> None:
        for button in (self.add, self.undo, self.redo):
            button.setEnabled(self._session.slide is not None)

    def _on_mode(self) -> None:
        self.add.blockSignals(True)
        self.add.setChecked(self._keys.add_mode)
        self.add.blockSignals(False)
