"""A table of items, one per row, each with a number that identifies it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import cast

from qtpy.QtCore import QEvent, QItemSelectionModel, QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_muse.plain_text import as_it_is

_WIDEST = "x" * 18
"""Text as wide as a column may be that is as wide as its content."""
_MOVE_ONLY = QItemSelectionModel.SelectionFlag.NoUpdate


class RowTable(QTableWidget):
    """A table in which whole rows are selected.

    Signals:
        edited: The user has changed a cell: number of the row's item, and the cell.
    """

    edited = Signal(int, QTableWidgetItem)

    def __init__(self, *heads: str, tooltip: str, least_px: int = 0) -> None:
        """Make an empty table.

        Args:
            *heads: Headers of the columns, of which the first takes the remaining width. Without
                any, they are set later, and each column is as wide as its content, within limits:
                a long name must not drive the other columns out of sight.
            tooltip: Tool tip of the table.
            least_px: Least height.
        """
        super().__init__()
        self._numbers: list[int] = []
        self.setToolTip(tooltip)
        self.setAccessibleName(tooltip)
        self.setMinimumHeight(least_px)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        # Arrows go from cell to cell; Tab would do so too, and never leave the table.
        self.setTabKeyNavigation(False)
        # Qt's stubs allow for a table without headers; there is none.
        cast(QHeaderView, self.verticalHeader()).hide()
        header, mode = cast(QHeaderView, self.horizontalHeader()), QHeaderView.ResizeMode
        header.setSectionResizeMode(mode.Interactive if heads else mode.ResizeToContents)
        header.setTextElideMode(Qt.TextElideMode.ElideRight)
        self._by_content = not heads
        if heads:
            self.set_heads(heads)
            header.setSectionResizeMode(0, mode.Stretch)
        else:
            self._limit_columns()
        self.itemChanged.connect(lambda item: self.edited.emit(self.number_of(item), item))

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Keep room for as many letters when they become larger."""
        super().changeEvent(event)
        letters = (QEvent.Type.FontChange, QEvent.Type.StyleChange)
        if event is not None and event.type() in letters and self._by_content:
            self._limit_columns()

    def _limit_columns(self) -> None:
        header = cast(QHeaderView, self.horizontalHeader())
        header.setMaximumSectionSize(self.fontMetrics().horizontalAdvance(_WIDEST))

    def set_heads(self, heads: Iterable[str]) -> None:
        """Set the headers of the columns."""
        self.setColumnCount(len(heads := list(heads)))
        self.setHorizontalHeaderLabels(heads)
        for at, head in enumerate(heads):
            cast(QTableWidgetItem, self.horizontalHeaderItem(at)).setToolTip(as_it_is(head))

    def fill(
        self,
        rows: Mapping[int, Iterable[QTableWidgetItem | QWidget]],
        unchanged: Collection[int] = (),
    ) -> None:
        """Replace all rows, without signals; the chosen item, and its current cell, stay so.

        A cell stays as it is while a person is typing in it, unless its item is gone.

        Args:
            rows: Cells, or widgets in their place, by the number of the item.
            unchanged: Numbers of items whose rows can stay, because widgets take long to make. They
                are replaced too where the order of the items has changed.
        """
        chosen, column = self.chosen, self.currentColumn()
        left = {number for number in self._numbers if number in rows}
        if [n for n in self._numbers if n in left] != [n for n in rows if n in left]:
            left = set()
        with QSignalBlocker(self):
            for at in reversed(range(len(self._numbers))):
                if self._numbers[at] not in left:
                    self.removeRow(at)
            self._numbers = list(rows)
            # In their places, so that an open editor stays with its item.
            for at, (number, items) in enumerate(rows.items()):
                if number not in left:
                    self.insertRow(at)
                if number not in left or number not in unchanged:
                    self._fill_row(at, items)
            self.choose(chosen)
            if chosen in rows and column > 0:
                # Qt goes to the first cell of a row that is chosen.
                self.setCurrentCell(self.currentRow(), column, _MOVE_ONLY)

    def _fill_row(self, at: int, items: Iterable[QTableWidgetItem | QWidget]) -> None:
        typing = self.state() == QAbstractItemView.State.EditingState
        for column, item in enumerate(items):
            if typing and (at, column) == (self.currentRow(), self.currentColumn()):
                continue  # Qt would write the item's text over what is being typed.
            if isinstance(item, QWidget):
                self.setCellWidget(at, column, item)
            else:
                self.setItem(at, column, item)

    def write(self, number: int, column: int, text: str) -> None:
        """Write another text into a cell of an item, without signals."""
        item = self.item(self._numbers.index(number), column)
        if item is not None and item.text() != text:
            with QSignalBlocker(self):
                item.setText(text)

    def number_of(self, item: QTableWidgetItem) -> int:
        """Number of the item in a cell's row."""
        return self._numbers[item.row()]

    @property
    def chosen(self) -> int | None:
        """Number of the chosen item, or None."""
        return next((self._numbers[index.row()] for index in self.selectedIndexes()), None)

    def choose(self, number: int | None) -> None:
        """Choose an item by its number; if it does not exist, none is chosen."""
        self.clearSelection()
        if number in self._numbers:
            self.selectRow(self._numbers.index(number))


def cell(text: str, editable: bool = False, right: bool = False) -> QTableWidgetItem:
    """Return a table cell; numbers are aligned to the right."""
    item = QTableWidgetItem(text)
    if len(text) > len(_WIDEST):
        item.setToolTip(as_it_is(text))
    if not editable:
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
    if right:
        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
