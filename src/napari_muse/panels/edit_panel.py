"""Panel for corrections: modes and the list of keys."""

from __future__ import annotations

from qtpy.QtWidgets import QFormLayout, QLabel

from napari_muse.interaction.keys import HELP, Keys
from napari_muse.panels import forms
from napari_muse.panels.undo_buttons import UndoButtons
from napari_muse.session import MuseSession


class EditPanel(UndoButtons, forms.Section):
    """Buttons for what the keys do, and the keys themselves."""

    def __init__(self, session: MuseSession, keys: Keys) -> None:
        super().__init__("Correct", session)
        self._keys = keys
        self.selected = QLabel()
        self._buttons = (self.add, self.paint, self.lasso, self.undo, self.redo)
        buttons = forms.grid(3, *self._buttons, self.selected)
        # Unlike in other forms, the descriptions of keys take the remaining width.
        meanings = QFormLayout()
        meanings.setVerticalSpacing(2)
        for key, meaning in HELP:
            meanings.addRow(f"<b>{key}</b>", forms.wrapped(meaning))
        forms.column(self, buttons, meanings)
        mode = session.nuclei.layer.events.mode
        self.follow(self._on_selection, session.nuclei.selection_changed)
        self.follow_now(self._on_slide, session.slide_changed)
        self.follow_now(self._on_mode, keys.mode_changed, keys.lasso.changed, mode)

    @forms.button("Add nuclei", checkable=True)
    def add(self, on: bool) -> None:
        """While this is on, a click adds a nucleus of the class ticked as new."""
        self._keys.set_add_mode(on)

    @forms.button("Paint class", checkable=True)
    def paint(self, on: bool) -> None:
        """While this is on, a click gives a nucleus the class ticked as new; digits choose it."""
        self._keys.set_paint_mode(on)

    @forms.button("Lasso", checkable=True)
    def lasso(self, on: bool) -> None:
        """Draw around nuclei to select them all."""
        self._keys.lasso.toggle()

    def _on_slide(self) -> None:
        for each in self._buttons:
            each.setEnabled(self._session.slide is not None)

    def _on_mode(self) -> None:
        self.add.setChecked(self._keys.add_mode)
        self.paint.setChecked(self._keys.paint_mode)
        self.lasso.setChecked(self._keys.lasso.on)

    def _on_selection(self) -> None:
        n = len(self._session.nuclei.selected_ids)
        self.selected.setText(f"{n:,} selected" if n else "")
