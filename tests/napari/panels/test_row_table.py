"""A table reports a user's changes, and keeps the selection."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QWidget

from napari_muse.panels.forms import column
from napari_muse.panels.row_table import RowTable, cell


@pytest.fixture
def table(qtbot: Any) -> RowTable:
    made = RowTable("Name", "Count", tooltip="things")
    qtbot.addWidget(made)
    _fill(made, {7: "seven", 9: "nine"})
    return made


def _fill(table: RowTable, names: dict[int, str]) -> None:
    table.fill({n: (cell(name, editable=True), cell(str(n))) for n, name in names.items()})


def test_the_chosen_thing_stays_chosen_wherever_it_is_by_then(table: RowTable) -> None:
    seen: list[int | None] = []
    table.choose(9)
    table.itemSelectionChanged.connect(lambda: seen.append(table.chosen))
    _fill(table, {9: "neun", 7: "seven"})
    assert (table.chosen, table.currentRow()) == (9, 0)
    _fill(table, {7: "seven", 8: "eight"})
    assert table.chosen is None, "not another one in its row"
    assert not seen


def test_only_what_a_person_changes_is_told(table: RowTable) -> None:
    seen: list[tuple[int, str]] = []
    table.edited.connect(lambda number, item: seen.append((number, item.text())))
    _fill(table, {3: "three", 7: "seven"})
    assert not seen
    table.item(1, 0).setText("VII")
    assert seen == [(7, "VII")]
    count = table.item(0, 1)
    assert count is not None
    assert table.number_of(count) == 3


def test_unchanged_rows_stay_as_they_are_unless_their_order_changes(table: RowTable) -> None:
    def fill(names: dict[int, str], unchanged: Collection[int] = ()) -> list[str]:
        buttons = {n: (cell(str(n)), QPushButton(name)) for n, name in names.items()}
        table.fill(buttons, unchanged)
        return [table.item(at, 0).text() for at in range(table.rowCount())]

    def button(at: int) -> QPushButton:
        found = table.cellWidget(at, 1)
        assert isinstance(found, QPushButton)
        return found

    fill({1: "one", 2: "two", 3: "three"})
    first, last = button(0), button(2)
    assert fill({1: "one", 2: "zwei", 3: "three"}, {1, 3}) == ["1", "2", "3"]
    assert (button(0), button(1).text(), button(2)) == (first, "zwei", last)
    assert fill({1: "one", 3: "three", 4: "four"}, {1, 3}) == ["1", "3", "4"]
    assert (button(0), button(1), button(2).text()) == (first, last, "four")
    assert fill({3: "drei", 1: "eins"}, {1, 3}) == ["3", "1"]
    assert (button(0).text(), button(1).text()) == ("drei", "eins")
    table.choose(1)
    assert fill({3: "drei", 1: "eins", 5: "five"}, {1, 3}) == ["3", "1", "5"]
    assert table.chosen == 1


def test_tab_leaves_the_table_and_arrows_do_not(qtbot: Any) -> None:
    whole, after = QWidget(), QPushButton("after")
    table = RowTable("Name", "Count", tooltip="things")
    _fill(table, {7: "seven", 9: "nine"})
    column(whole, table, after)
    qtbot.addWidget(whole)
    with qtbot.waitExposed(whole):
        whole.show()
    whole.activateWindow()
    qtbot.waitUntil(whole.isActiveWindow)
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_Right)
    qtbot.keyClick(table, Qt.Key.Key_Down)
    assert table.hasFocus()
    assert (table.currentRow(), table.currentColumn()) == (1, 1)
    qtbot.keyClick(table, Qt.Key.Key_Tab)
    assert after.hasFocus()


def test_a_long_name_leaves_the_other_columns_in_sight(qtbot: Any) -> None:
    made, name = RowTable(tooltip="regions"), "tumour & stroma " * 20
    qtbot.addWidget(made)
    made.resize(290, 170)
    made.set_heads(("Region", "Nuclei", name))
    made.fill({1: (cell(name, editable=True), cell("16"), cell("7"))})
    made.show()
    assert made.columnViewportPosition(1) + made.columnWidth(1) < made.viewport().width()
    assert made.columnWidth(2) < 290
    heading, item = made.horizontalHeaderItem(2), made.item(0, 0)
    assert heading is not None
    assert item is not None
    assert item.text() == name
    assert item.toolTip() == heading.toolTip() == name


def test_larger_letters_have_larger_columns(qtbot: Any) -> None:
    table, size_px, widths = RowTable(tooltip="things"), (12, 24), []
    qtbot.addWidget(table)
    table.set_heads(("Region", "Nuclei"))
    table.fill({1: (cell("invasive margin"), cell("5"))})
    table.show()
    for letters in size_px:
        table.setStyleSheet(f"QTableWidget {{ font-size: {letters}px; }}")
        qtbot.wait(50)
        widths.append(table.columnWidth(0))
        assert widths[-1] >= table.fontMetrics().horizontalAdvance("invasive margin")
    assert widths[1] > widths[0]
