"""Correcting: add mode and the list of keys."""

from __future__ import annotations

from qtpy.QtWidgets import QFormLayout, QGroupBox, QLabel

from napari_muse.interaction.keys import HELP, Keys
from napari_muse.interaction.undo_steps import redo_edit, undo_edit
from napari_muse.panels.forms import Following, column, grid, push_button, wrapped
from napari_muse.session import MuseSession


class EditPanel(Following, QGroupBox):
    """Buttons for what the keys do, and the keys themselves."""

    def __init__(self, session: MuseSession, keys: Keys) -> None:
        super().__init__("Correct")
        self._session = session
        self._keys = keys
        self.add = push_button(
            "Add nuclei",
            "While this is on, a click adds a nucleus of the class ticked as new",
            checkable=True,
        )
        self.paint = push_button(
            "Paint class",
            "While this is on, a click gives a nucleus the class ticked as new; digits choose it",
            checkable=True,
        )
        self.lasso = push_button(
            "Lasso",
            "Draw around nuclei to select them all",
            lambda: session.attempt(keys.lasso.toggle),
            checkable=True,
        )
        self.undo = push_button(
            "Undo",
            "Take back the last correction (Ctrl-Z)",
            lambda: session.attempt(lambda: undo_edit(session)),
        )
        self.redo = push_button(
            "Redo",
            "Do again what was taken back (Ctrl-Shift-Z)",
            lambda: session.attempt(lambda: redo_edit(session)),
        )
        self.selected = QLabel()
        buttons = grid(3, self.add, self.paint, self.lasso, self.undo, self.redo, self.selected)
        keys_form = QFormLayout()
        keys_form.setVerticalSpacing(2)
        for key, meaning in HELP:
            keys_form.addRow(QLabel(f"<b>{key}</b>"), wrapped(meaning))
        column(self, buttons, keys_form)
        self.add.toggled.connect(keys.set_add_mode)
        self.paint.toggled.connect(keys.set_paint_mode)
        keys.mode_changed.connect(self._on_mode)
        keys.lasso.changed.connect(self._on_mode)
        self.follow(
            (session.nuclei.layer.events.mode, self._on_mode),
            (session.nuclei.selection_changed, self._on_selection),
            (session.slide_changed, self._on_slide),
        )
        self._on_slide()
        self._on_mode()

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
