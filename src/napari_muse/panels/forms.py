"""Small pieces the panels share."""

from __future__ import annotations

from typing import cast

from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QLabel,
    QSizePolicy,
    QTableWidget,
)


def combo(tooltip: str) -> QComboBox:
    """A choice that never widens the dock, however long its entries are."""
    box = QComboBox()
    box.setToolTip(tooltip)
    never_widening(box)
    return box


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
