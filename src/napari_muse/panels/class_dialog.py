"""Adding, renaming, recolouring and merging classes; each change can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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

from muse_core.nuclei import NucleusClass
from muse_core.nuclei.store import AnnotationStore, Edit
from napari_muse.interaction.undo_steps import redo_edit, undo_edit
from napari_muse.panels.confirm import ask
from napari_muse.panels.forms import (
    Following,
    chosen_row,
    column,
    combo,
    fill_choice,
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
        self._filling = False
        self._names: list[str] = []
        self.table = row_table(stretch_first=True)
        self.table.setColumnCount(4)
        self.table.setHorizontalHeaderLabels(["Class", "Colour", "Key", "Nuclei"])
        self.table.setToolTip("Double-click a name to change it")
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
            self.table.setItem(at, 0, QTableWidgetItem(entry.name))
            self.table.setCellWidget(at, 1, self._color_button(entry))
            self.table.setCellWidget(at, 2, self._key_box(entry))
            number = QTableWidgetItem(f"{count:,}")
            number.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            self.table.setItem(at, 3, number)
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

    def _color_button(self, entry: NucleusClass) -> QPushButton:
        button = QPushButton()
        button.setStyleSheet(f"background-color: {entry.color};")
        button.setToolTip(as_it_is(f"Colour of {entry.name}"))
        button.setAccessibleName(f"Colour of {entry.name}")
        button.clicked.connect(lambda: self._ask_color(entry))
        return button

    def _key_box(self, entry: NucleusClass) -> QComboBox:
        box = QComboBox()
        box.addItems(list(_KEYS))
        box.setCurrentText(entry.key)
        box.setToolTip(as_it_is(f"Key that gives a nucleus the class {entry.name}"))
        box.textActivated.connect(lambda key: self._set_key(entry, key))
        return box

    def _ask_color(self, entry: NucleusClass) -> None:
        color = QColorDialog.getColor(QColor(entry.color), self, f"Colour of {entry.name}")
        if color.isValid():
            self.set_color(entry.name, color.name())

    def set_color(self, name: str, color: str) -> None:
        """Give a class another colour."""
        scheme = self._session.annotations.scheme
        new = replace(scheme.classes[scheme.index(name)], color=color)
        self._edit(lambda store: store.change_class(name, new))

    def _set_key(self, entry: NucleusClass, key: str) -> None:
        new = self._session.annotations.scheme.changes_for_key(entry.name, key)
        self._edit(lambda store: store.change_classes(new))

    def _on_item(self, item: QTableWidgetItem) -> None:
        if self._filling or item.column() != 0:
            return
        entry = self._session.annotations.scheme.classes[item.row()]
        name = item.text().strip()
        if name != entry.name:
            self._edit(lambda store: store.change_class(entry.name, replace(entry, name=name)))

    def _on_add(self) -> None:
        new = self._session.annotations.scheme.with_new_class().classes[-1]
        self._edit(lambda store: store.add_class(new))
        self.table.editItem(self.table.item(self.table.rowCount() - 1, 0))

    def _on_merge(self) -> None:
        gone, into = self._chosen_name(), self.into.currentText()
        if not gone:
            self.message.setText("Choose the class that is to go in the table first.")
            return
        if gone == into:
            self.message.setText(f"Choose at right into which class {gone} is to be merged.")
            return
        count = int(self._session.annotations.counts()[self._names.index(gone)])
        nuclei = "1 nucleus becomes" if count == 1 else f"{count:,} nuclei become"
        ask(
            self,
            f"Merge the class {gone} into {into}? {nuclei} {into}, and {gone} is dropped.",
            f"Merge into {into}",
            lambda: self._merge(gone, into),
            lambda: None,
        )

    def _merge(self, gone: str, into: str) -> None:
        self._edit(lambda store: store.merge_classes(gone, into))
        if gone not in self._names:
            self.message.setText(f"{gone} was merged into {into}; Undo takes it back.")
            # Whoever presses again merges no other class.
            self._choose(into)

    def _edit(self, change: Callable[[AnnotationStore], Edit]) -> None:
        self.message.setText(_UNDOABLE)
        if not self._session.attempt(lambda: self._session.annotations.edit_classes(change)):
            self._fill()

    def _lay_out(self) -> None:
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close.rejected.connect(self.reject)
        changes = row(self.add, self.undo, self.redo, None, self.merge, self.into)
        column(self, self.table, changes, self.message, close)
        self.resize(*_SIZE_PX)
