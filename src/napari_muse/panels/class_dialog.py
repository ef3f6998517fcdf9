"""Dialog to add, rename, recolour and merge classes; each change can be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QKeyEvent, QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QDialogButtonBox,
    QTableWidgetItem,
    QWidget,
)

from muse_core.nuclei import NucleusClass
from muse_core.nuclei.named import named
from napari_muse.annotations.class_edits import ClassEdits
from napari_muse.panels import forms
from napari_muse.panels.confirm import ask
from napari_muse.panels.row_table import RowTable, cell
from napari_muse.panels.slide_dialog import SlideDialog
from napari_muse.panels.undo_buttons import UndoButtons
from napari_muse.plain_text import as_it_is
from napari_muse.session import MuseSession

_KEYS = ("", *"123456789")
_COUNT_COLUMN = 3
_SIZE_PX = (560, 340)
_UNDOABLE = "Every change can be undone, here and with Ctrl-Z."


class ClassDialog(UndoButtons, SlideDialog):
    """A table of the classes of a slide."""

    def __init__(self, session: MuseSession, parent: QWidget | None = None) -> None:
        super().__init__(session, "Classes of this slide", parent)
        self._edits = ClassEdits(self._annotations)
        self._names: dict[int, str] = {}
        self._shown: list[tuple[int, NucleusClass]] = []
        heads = ("Class", "Colour", "Key", "Nuclei")
        self.table = RowTable(*heads, tooltip="Double-click a name to change it")
        self.into = forms.Choice("The class that takes over the nuclei of the chosen one")
        for key, step in (
            ("Ctrl+Z", self.undo), ("Ctrl+Shift+Z", self.redo), ("Ctrl+Y", self.redo)
        ):  # fmt: skip
            QShortcut(QKeySequence(key), self).activated.connect(step.click)
        self.message = forms.wrapped(_UNDOABLE)
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close.rejected.connect(self.reject)
        changes = forms.row(
            self.add, self.distinct, self.undo, self.redo, None, self.merge, self.into
        )
        forms.column(self, self.table, changes, self.message, close)
        self.resize(*_SIZE_PX)
        self.table.edited.connect(self._on_edit)
        self.follow(self._follow_classes, session.annotations_changed)
        self.follow(self.say, session.refused, session.told)
        self._fill()

    @forms.button("Add class")
    def add(self) -> None:
        """Add a class; rename it in the table."""
        self._edit(self._edits.add)
        self.table.editItem(self.table.item(self.table.rowCount() - 1, 0))

    @forms.button("Distinct colours")
    def distinct(self) -> None:
        """Give the first six classes colours that colour-blind people can tell apart."""
        self._edit(self._edits.set_distinct_colors)

    @forms.button("Merge chosen into")
    def merge(self) -> None:
        """Give all nuclei of the chosen class another, and drop the first."""
        gone, into = self._names.get(self.table.chosen or 0, ""), self.into.currentText()
        question = self._edits.merging(gone, into)
        ask(self, question, f"Merge into {into}", lambda: self._merge(gone, into), lambda: None)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Ignore Return outside the buttons, which Qt would take for the first one, Add class."""
        if event is None or event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            super().keyPressEvent(event)

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        self.message.setText(sentence)

    def _follow_classes(self) -> None:
        """Fill the table anew where it shows something else; an edit is told more than once."""
        if self._lines() != self._shown:
            self._fill(self._shown)
        else:
            self._count()

    def _lines(self) -> list[tuple[int, NucleusClass]]:
        """Id and class of each class."""
        return list(zip(self._annotations.class_ids, self._annotations.scheme.classes, strict=True))

    def _count(self) -> None:
        """Update the numbers of nuclei alone, which change while a list of keys is open."""
        counts = self._annotations.counts().tolist()
        for number, count in zip(self._annotations.class_ids, counts, strict=True):
            self.table.write(number, _COUNT_COLUMN, f"{count:,}")

    def _fill(self, shown: Sequence[tuple[int, NucleusClass]] = ()) -> None:
        """Fill the table, but for the lines that it shows already."""
        self._shown = lines = self._lines()
        self._names = {number: entry.name for number, entry in lines}
        cells = {number: self._cells(entry) for number, entry in lines}
        self.table.fill(cells, {line[0] for line in lines if line in shown})
        choices = ((name, number) for number, name in self._names.items())
        self.into.offer(choices, self.into.currentData())
        self._count()

    def _cells(self, entry: NucleusClass) -> Iterator[QTableWidgetItem | QWidget]:
        """Name, colour and key of a class, as they can be changed in the table, and its count."""
        yield cell(entry.name, editable=True)
        color = forms.push_button(
            "", as_it_is(f"Colour of {entry.name}"), lambda: self.ask_color(entry)
        )
        color.setStyleSheet(f"background-color: {entry.color};")
        color.setAccessibleName(f"Colour of {entry.name}")
        yield color
        key = QComboBox()
        key.addItems(list(_KEYS))
        key.setCurrentText(entry.key)
        key.setAccessibleName(f"Key of {entry.name}")
        key.setToolTip(as_it_is(f"Key that gives a nucleus the {named('class', entry.name)}"))
        key.textActivated.connect(partial(self.set_key, entry.name))
        yield key
        yield cell("")

    def ask_color(self, entry: NucleusClass) -> None:
        """Ask for another colour of a class."""
        # Not Qt's own function that waits for the answer: it crashes if this dialog ends meanwhile.
        asking = QColorDialog(QColor(entry.color), self)
        asking.setWindowTitle(f"Colour of {entry.name}")
        asking.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        asking.colorSelected.connect(lambda color: self.set_color(entry.name, color.name()))
        asking.open()

    def set_color(self, name: str, color: str) -> None:
        """Give a class another colour."""
        self._edit(partial(self._edits.set_color, name, color))

    def set_key(self, name: str, key: str) -> None:
        """Give a class another key."""
        self._edit(partial(self._edits.set_key, name, key))

    def _on_edit(self, number: int, item: QTableWidgetItem) -> None:
        self._edit(partial(self._edits.rename, self._names[number], item.text().strip()))

    def _merge(self, gone: str, into: str) -> None:
        self._edit(partial(self._edits.merge, gone, into))
        if gone not in self._names.values():
            self.say(f"{gone} was merged into {into}; Undo takes it back.")
            # No class stays chosen, so that pressing again merges no other one.
            self.table.choose(self.into.currentData())

    def _edit(self, change: Callable[[], None]) -> None:
        self.say(_UNDOABLE)
        if not self._session.attempt(change):
            self._fill()
