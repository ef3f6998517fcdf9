"""Small pieces the panels share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QBoxLayout,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QVBoxLayout,
    QWidget,
)


class Links:
    """Connections of a panel to signals that outlive it, such as the session's."""

    def __init__(self, *pairs: tuple[Any, Callable[..., object]]) -> None:
        """Connect each signal, of Qt, psygnal or napari, to its function."""
        self._pairs = pairs
        for signal, follow in pairs:
            signal.connect(follow)

    def cut(self) -> None:
        """Disconnect all of them."""
        for signal, follow in self._pairs:
            signal.disconnect(follow)


def push_button(text: str, tooltip: str, *, checkable: bool = False) -> QPushButton:
    """Return a button that says with a tool tip what it does."""
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.setCheckable(checkable)
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


def never_widening(box: QComboBox) -> None:
    """Let a choice be as wide as there is room, and no wider."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def wrapped(text: str) -> QLabel:
    """A label that breaks its lines."""
    label = QLabel(text)
    label.setWordWrap(True)
    return label


def row_table(stretch_first: bool) -> QTableWidget:
    """A table one picks whole rows of.

    Args:
        stretch_first: Whether the first column takes the room that is left; else all columns are
            as wide as what is in them.
    """
    table = QTableWidget()
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    # Qt's stubs allow for a table without headers; there is none.
    cast(QHeaderView, table.verticalHeader()).hide()
    header, mode = cast(QHeaderView, table.horizontalHeader()), QHeaderView.ResizeMode
    header.setSectionResizeMode(mode.Interactive if stretch_first else mode.ResizeToContents)
    if stretch_first:
        table.setColumnCount(1)
        header.setSectionResizeMode(0, mode.Stretch)
    return table


def chosen_row(table: QTableWidget) -> int | None:
    """The row that is picked, or None."""
    return next((index.row() for index in table.selectedIndexes()), None)
