"""Correcting: add mode and the list of keys."""

from __future__ import annotations

from qtpy.QtWidgets import QFormLayout, QGridLayout, QGroupBox, QLabel, QPushButton, QVBoxLayout

from napari_muse.interaction.keys import HELP, Keys
from napari_muse.interaction.undo_steps import redo_edit, undo_edit
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
        self.paint = QPushButton("Paint class")
        self.paint.setCheckable(True)
        self.paint.setToolTip(
            "While this is on, a click gives a nucleus the class ticked as new; digits choose it"
        )
        self.lasso = QPushButton("Lasso")
        self.lasso.setCheckable(True)
        self.lasso.setToolTip("Draw around nuclei to select them all")
        self.undo = QPushButton("Undo")
        self.undo.setToolTip("Take back the last correction (Ctrl-Z)")
        self.redo = QPushButton("Redo")
        self.redo.setToolTip("Do again what was taken back (Ctrl-Shift-Z)")
        buttons = QGridLayout()
        for number, button in enumerate((self.add, self.paint, self.lasso, self.undo, self.redo)):
            buttons.addWidget(button, number // 3, number % 3)
        self.selected = QLabel()
        buttons.addWidget(self.selected, 1, 2)
        keys_form = QFormLayout()
        keys_form.setVerticalSpacing(2)
        for key, meaning in HELP:
            name = QLabel(f"<b>{key}</b>")
            text = QLabel(meaning)
            text.setWordWrap(True)
            keys_form.addRow(name, text)
        whole = QVBoxLayout(self)
        whole.addLayout(buttons)
        whole.addLayout(keys_form)
        self.add.toggled.connect(keys.set_add_mode)
        self.undo.clicked.connect(lambda: session.attempt(lambda: undo_edit(session)))
        self.redo.clicked.connect(lambda: session.attempt(lambda: redo_edit(session)))
        self.paint.toggled.connect(keys.set_paint_mode)
        self.lasso.clicked.connect(lambda: session.attempt(keys.lasso.toggle))
        session.nuclei.layer.events.mode.connect(self._on_mode)
        keys.mode_changed.connect(self._on_mode)
        keys.lasso.changed.connect(self._on_mode)
        session.nuclei.selection_changed.connect(self._on_selection)
        session.slide_changed.connect(self._on_slide)
        self._on_slide()
        self._on_mode()

    def disconnect_all(self) -> None:
        """Stop following the session."""
        self._session.slide_changed.disconnect(self._on_slide)
        self._session.nuclei.layer.events.mode.disconnect(self._on_mode)
        self._session.nuclei.selection_changed.disconnect(self._on_selection)

    def _on_slide(self) -> None:
        for button in (self.add, self.paint, self.lasso, self.undo, self.redo):
            button.setEnabled(self._session.slide is not None)

    def _on_mode(self) -> None:
        states = (
            (self.add, self._keys.add_mode),
            (self.paint, self._keys.paint_mode),
            (self.lasso, self._keys.lasso.on),
        )
        for button, on in states:
            button.blockSignals(True)
            button.setChecked(on)
            button.blockSignals(False)

    def _on_selection(self) -> None:
        n = len(self._session.nuclei.selected_ids)
        self.selected.setText(f"{n:,} selected" if n else "")
