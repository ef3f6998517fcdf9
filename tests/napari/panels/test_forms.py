"""Buttons of methods, and choices."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from muse_core.errors import UserError
from napari_muse.interaction.following import Following
from napari_muse.panels import forms


class Pane(Following, QWidget):
    """Two buttons; a refusal is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[object] = []
        self.refused: list[str] = []
        self._session: Any = SimpleNamespace(attempt=self._attempt)
        forms.within(forms.row(self.go, self.mode), self)

    def _attempt(self, act: Any) -> bool:
        try:
            act()
        except UserError as error:
            self.refused.append(str(error))
            return False
        return True

    @forms.button("Go")
    def go(self) -> None:
        """Go there.

        A second press is refused.
        """
        if self.done:
            raise UserError("It is gone.")
        self.done.append("went")

    @forms.button("Mode", checkable=True)
    def mode(self, on: bool) -> None:
        """While this is on, all is well."""
        self.done.append(on)


@pytest.fixture
def pane(qtbot: Any) -> Pane:
    made = Pane()
    qtbot.addWidget(made)
    made.show()
    return made


def test_a_method_is_a_button_and_its_docstring_the_tool_tip(pane: Pane, qtbot: Any) -> None:
    assert (pane.go.text(), pane.mode.text()) == ("Go", "Mode")
    assert pane.go.toolTip() == "Go there. A second press is refused"
    assert pane.mode.toolTip() == "While this is on, all is well"
    assert pane.go is pane.go
    other = Pane()
    qtbot.addWidget(other)
    assert other.go is not pane.go
    qtbot.mouseClick(pane.go, Qt.MouseButton.LeftButton)
    assert (pane.done, other.done) == (["went"], [])


def test_a_refusal_is_a_sentence(pane: Pane, qtbot: Any) -> None:
    for _ in range(2):
        qtbot.mouseClick(pane.go, Qt.MouseButton.LeftButton)
    assert pane.done == ["went"]
    assert pane.refused == ["It is gone."]


def test_a_button_that_can_be_checked_tells_its_method_and_setting_it_does_not(
    pane: Pane, qtbot: Any
) -> None:
    pane.mode.setFocus()
    for _ in range(2):
        qtbot.keyClick(pane.mode, Qt.Key.Key_Space)
    assert pane.done == [True, False]
    pane.mode.setChecked(True)
    assert pane.done == [True, False]


def test_a_choice_keeps_what_is_chosen_and_says_nothing_when_it_is_listed_anew(qtbot: Any) -> None:
    choice = forms.Choice("which", ("All", None, "every one"), ("One", 1))
    qtbot.addWidget(choice)
    said: list[int] = []
    choice.currentIndexChanged.connect(said.append)
    assert choice.currentData() is None
    assert choice.itemData(0, Qt.ItemDataRole.ToolTipRole) == "every one"
    choice.offer([("All", None), ("Two", 2), ("Three", 3)], 3)
    assert (choice.currentText(), choice.count()) == ("Three", 3)
    choice.offer([("All", None), ("Two", 2)], choice.currentData())
    assert choice.currentText() == "All", "what was chosen is not there"
    assert not said
    choice.choose(2)
    assert (choice.currentText(), said) == ("Two", [1])


def test_a_list_is_left_alone_where_its_entries_are_the_same(qtbot: Any) -> None:
    # A user may have it open while nuclei arrive every second.
    choice = forms.Choice("which", ("a", 1), ("b", 2))
    qtbot.addWidget(choice)
    removed: list[object] = []
    choice.model().rowsRemoved.connect(lambda *rows: removed.append(rows))
    choice.model().modelReset.connect(lambda: removed.append(None))
    choice.offer([("a", 1), ("b", 2)], 2)
    assert (choice.currentData(), removed) == (2, [])
    choice.offer([("b", 2)], 2)
    assert removed


@pytest.mark.parametrize(
    "name",
    [
        "TCGA-CR-7395-01A-01-TS1.4f8c6d5e-1f2e-4c1a-9d1b-0123456789ab.svs",
        "/data/of_the_laboratory/a_slide_with_a_long_name_and_no_spaces.ome.tiff",
        "x" * 200,
    ],
)
def test_a_long_name_breaks_within_its_label(qtbot: Any, name: str) -> None:
    label = forms.wrapped(f"{name}: 10 x 10 px.")
    qtbot.addWidget(label)
    assert label.minimumSizeHint().width() < 250
    assert label.text() == f"{name}: 10 x 10 px."
    label.setText(name)
    assert label.text() == name
