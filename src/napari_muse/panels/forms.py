"""Small pieces the panels share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QBoxLayout,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)


class Following:
    """A widget that follows signals of what outlives it, such as the session's."""

    _followed: tuple[tuple[Any, Callable[..., object]], ...] = ()

    def follow(self, *pairs: tuple[Any, Callable[..., object]]) -> None:
        """Connect each signal, of Qt, psygnal or napari, to its function."""
        self._followed += pairs
        for signal, act in pairs:
            signal.connect(act)

    def disconnect_all(self) -> None:
        """Stop following."""
        pairs, self._followed = self._followed, ()
        for signal, act in pairs:
            signal.disconnect(act)


def push_button(
    text: str, tooltip: str, do: Callable[..., object] | None = None, *, checkable: bool = False
) -> QPushButton:
    """Return a button that does something, and says with a tool tip what."""
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.setCheckable(checkable)
    if do is not None:
        button.clicked.connect(do)
    return button


def row(
    *items: QWidget | QLayout | None, stretch: int = -1, parent: QWidget | None = None
) -> QHBoxLayout:
    """Return widgets and layouts side by side.

    Args:
        *items: From left to right; None is room that grows.
        stretch: Index of the one that takes the room that is left.
        parent: The widget that it lies in without margins, if any.
    """
    layout = QHBoxLayout()
    _fill(layout, items)
    if stretch >= 0:
        layout.setStretch(stretch, 1)
    if parent is not None:
        layout.setContentsMargins(0, 0, 0, 0)
        parent.setLayout(layout)
    return layout


def column(parent: QWidget, *items: QWidget | QLayout | None) -> QVBoxLayout:
    """Lay widgets and layouts out one below the other in a widget; None is room that grows."""
    layout = QVBoxLayout(parent)
    _fill(layout, items)
    return layout


def grid(columns: int, *items: QWidget) -> QGridLayout:
    """Return widgets from left to right and from top to bottom."""
    layout = QGridLayout()
    for at, item in enumerate(items):
        layout.addWidget(item, *divmod(at, columns))
    return layout


def form_layout(parent: QWidget | None = None) -> QFormLayout:
    """Return a form whose fields take the room there is; within a widget it has no margins."""
    layout = QFormLayout(parent)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    if parent is not None:
        layout.setContentsMargins(0, 0, 0, 0)
    return layout


def _fill(layout: QBoxLayout, items: Iterable[QWidget | QLayout | None]) -> None:
    for item in items:
        if item is None:
            layout.addStretch(1)
        elif isinstance(item, QLayout):
            layout.addLayout(item)
        else:
            layout.addWidget(item)


def combo(tooltip: str) -> QComboBox:
    """A choice that never widens the dock, however long its entries are."""
    box = QComboBox()
    box.setToolTip(tooltip)
    never_widening(box)
    return box


def add_choice(box: QComboBox, label: str, value: object, tooltip: str = "") -> None:
    """Add an entry with a tool tip of its own to a choice."""
    box.addItem(label, value)
    box.setItemData(box.count() - 1, tooltip or None, Qt.ItemDataRole.ToolTipRole)


def fill_choice(box: QComboBox, entries: Sequence[tuple[str, object]], chosen: object) -> None:
    """List entries, words and values, unless they are listed, and choose one by its value.

    The first is chosen where there is no such value.
    """
    if [(box.itemText(i), box.itemData(i)) for i in range(box.count())] != list(entries):
        box.clear()
        for label, value in entries:
            box.addItem(label, value)
    box.setCurrentIndex(max(box.findData(chosen), 0) if chosen is not None else 0)


def never_widening(box: QComboBox) -> None:
    """Let a choice be as wide as there is room, and no wider."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def wrapped(text: str) -> QLabel:
    """A label that breaks its lines, and takes no name in them for HTML."""
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setText(text)
    label.setWordWrap(True)
    return label


def row_table(*heads: str, tooltip: str, least_px: int = 0) -> QTableWidget:
    """Return a table one picks whole rows of.

    Args:
        *heads: Of the columns, of which the first takes the room that is left. Without any they
            are set later, and each is as wide as what is in it.
        tooltip: What it shows.
        least_px: Height.
    """
    table = QTableWidget()
    table.setToolTip(tooltip)
    table.setMinimumHeight(least_px)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    # Qt's stubs allow for a table without headers; there is none.
    cast(QHeaderView, table.verticalHeader()).hide()
    header, mode = cast(QHeaderView, table.horizontalHeader()), QHeaderView.ResizeMode
    header.setSectionResizeMode(mode.Interactive if heads else mode.ResizeToContents)
    if heads:
        table.setColumnCount(len(heads))
        table.setHorizontalHeaderLabels(heads)
        header.setSectionResizeMode(0, mode.Stretch)
    return table


def cell(text: str, editable: bool = False, right: bool = False) -> QTableWidgetItem:
    """Return what a table shows in one place; numbers stand at the right."""
    item = QTableWidgetItem(text)
    if not editable:
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
    if right:
        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item


def fill_row(table: QTableWidget, at: int, items: Iterable[QTableWidgetItem | QWidget]) -> None:
    """Put cells, or widgets in their place, into a row of a table."""
    for column, item in enumerate(items):
        if isinstance(item, QWidget):
            table.setCellWidget(at, column, item)
        else:
            table.setItem(at, column, item)


def chosen_row(table: QTableWidget) -> int | None:
    """The row that is picked, or None."""
    return next((index.row() for index in table.selectedIndexes()), None)
