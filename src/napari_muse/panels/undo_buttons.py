"""Undo and Redo buttons for panels and dialogs."""

from __future__ import annotations

from napari_muse.interaction.following import Following
from napari_muse.interaction.undo_steps import redo_edit, undo_edit
from napari_muse.panels import forms


class UndoButtons(Following):
    """Two buttons for a widget to lay out, created on first use."""

    @forms.button("Undo")
    def undo(self) -> None:
        """Take back the last change (Ctrl-Z)."""
        undo_edit(self._session)

    @forms.button("Redo")
    def redo(self) -> None:
        """Do again what was taken back (Ctrl-Shift-Z)."""
        redo_edit(self._session)
