"""Adding, renaming, recolouring and merging classes; each change can be undone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QPushButton,
    QTableWidgetItem,
    QWidget,
)

from muse_core.errors import UserError
from muse_core.nuclei import NucleusClass
from napari_muse.annotations.class_edits import ClassEdits
from napari_muse.interaction.undo_steps import redo_edit, undo_edit
from napari_muse.panels.confirm import ask
from napari_muse.panels.forms import (
    Following,
    cell,
    chosen_row,
    column,
    combo,
    fill_choice,
    fill_row,
    push_button,
    row,
    row_table,
    wrapped,
)
from napari_muse.plain_text import as_it_is
from napari_muse.session import MuseSession

_KEYS = ("", *"123456789")
_SIZE_PX = (560, 340)
_UNDOABLE = "Every change can be undone, here and with Ctrl-Z."


class ClassDialog(Following, QDialog):
    """A table of the classes of the current slide."""

    def __init__(self, session: MuseSession, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Classes of this slide")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._session = session
        self._edits = ClassEdits(lambda: session.annotations)
        self._filling = False
        self._names: list[str] = []
        heads = ("Class", "Colour", "Key", "Nuclei")
        self.table = row_table(*heads, tooltip="Double-click a name to change it")
        self.add = push_button("Add class", "Add a class; rename it in the table", self._on_add)
        self.into = combo("The class that takes over the nuclei of the chosen one")
        self.merge = push_button(
            "Merge chosen into",
            "Give all nuclei of the chosen class another, and drop the first",
            self._on_merge,
        )
        undo, redo = (
            partial(session.attempt, partial(act, session)) for act in (undo_edit, redo_edit)
        )
        self.undo = push_button("Undo", "Take back the last change (Ctrl-Z)", undo)
        self.redo = push_button("Redo", "Do again what was taken back (Ctrl-Shift-Z)", redo)
        for key, step in (("Ctrl+Z", undo), ("Ctrl+Shift+Z", redo), ("Ctrl+Y", redo)):
            QShortcut(QKeySequence(key), self).activated.connect(step)
        self.message = wrapped(_UNDOABLE)
        self._lay_out()
        self.table.itemChanged.connect(self._on_item)
        self.follow(
            (session.annotations_changed, self._fill),
            (session.refused, self.say),
            (session.told, self.say),
        )
        self.finished.connect(self.disconnect_all)
        self._fill()

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        self.message.setText(sentence)

    def _fill(self) -> None:
        annotations = self._session.annotations
        classes, counts = annotations.scheme.classes, annotations.counts()
        chosen, into = self._chosen_name(), self.into.currentText()
        row_before = chosen_row(self.table)
        renamed = len(classes) == len(self._names) and row_before is not None
        self._filling = True
        self.table.setRowCount(len(classes))
        for at, (entry, count) in enumerate(zip(classes, counts, strict=True)):
            name, widgets = cell(entry.name, editable=True), _color_and_key(entry, self)
            fill_row(self.table, at, (name, *widgets, cell(f"{count:,}")))
        self._names = [c.name for c in classes]
        fill_choice(self.into, [(name, name) for name in self._names], into)
        if renamed and chosen not in self._names:
            chosen = self._names[row_before or 0]
        self._choose(chosen)
        self._filling = False

    def _chosen_name(self) -> str:
        """The class chosen in the table, "" for none."""
        at = chosen_row(self.table)
        return self._names[at] if at is not None and at < len(self._names) else ""

    def _choose(self, name: str) -> None:
        """Choose a class in the table, none where it is not there: never another in its row."""
        self.table.clearSelection()
        if name in self._names:
            self.table.selectRow(self._names.index(name))

    def ask_color(self, entry: NucleusClass) -> None:
        """Ask for another colour of a class."""
        color = QColorDialog.getColor(QColor(entry.color), self, f"Colour of {entry.name}")
        if color.isValid():
            self.set_color(entry.name, color.name())

    def set_color(self, name: str, color: str) -> None:
        """Give a class another colour."""
        self._edit(partial(self._edits.set_color, name, color))

    def set_key(self, name: str, key: str) -> None:
        """Give a class another key."""
        self._edit(partial(self._edits.set_key, name, key))

    def _on_item(self, item: QTableWidgetItem) -> None:
        if not self._filling and item.column() == 0:
            self._edit(partial(self._edits.rename, self._names[item.row()], item.text().strip()))

    def _on_add(self) -> None:
        self._edit(self._edits.add)
        self.table.editItem(self.table.item(self.table.rowCount() - 1, 0))

    def _on_merge(self) -> None:
        gone, into = self._chosen_name(), self.into.currentText()
        try:
            question = self._edits.merging(gone, into)
        except UserError as error:
            self.say(str(error))
            return
        ask(self, question, f"Merge into {into}", lambda: self._merge(gone, into), lambda: None)

    def _merge(self, gone: str, into: str) -> None:
        self._edit(partial(self._edits.merge, gone, into))
        if gone not in self._names:
            self.say(f"{gone} was merged into {into}; Undo takes it back.")
            # Whoever presses again merges no other class.
            self._choose(into)

    def _edit(self, change: Callable[[], None]) -> None:
        self.say(_UNDOABLE)
        if not self._session.attempt(change):
            self._fill()

    def _lay_out(self) -> None:
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close.rejected.connect(self.reject)
        changes = row(self.add, self.undo, self.redo, None, self.merge, self.into)
        column(self, self.table, changes, self.message, close)
        self.resize(*_SIZE_PX)


def _color_and_key(entry: NucleusClass, dialog: ClassDialog) -> tuple[QPushButton, QComboBox]:
    """Return the widgets that change the colour and the key of a class."""
    color = push_button("", as_it_is(f"Colour of {entry.name}"), lambda: dialog.ask_color(entry))
    color.setStyleSheet(f"background-color: {entry.color};")
    color.setAccessibleName(f"Colour of {entry.name}")
    key = QComboBox()
    key.addItems(list(_KEYS))
    key.setCurrentText(entry.key)
    key.setToolTip(as_it_is(f"Key that gives a nucleus the class {entry.name}"))
    key.textActivated.connect(partial(dialog.set_key, entry.name))
    return color, key
