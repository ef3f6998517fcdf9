from __future__ import annotations

from collections.abc import Callable

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument, QTextLayout
from qtpy.QtWidgets import QLabel

from napari_muse.panels import forms
from napari_muse.plain_text import as_it_is, for_button, isolated, without_marks


@pytest.mark.parametrize("name", ["tumor", "<b>x</b>", "a &lt; b", "a & b", "&amp;", "1 < 2"])
def test_a_tool_tip_says_a_name_as_it_is(name: str) -> None:
    text = as_it_is(f"Show {name}")
    if Qt.mightBeRichText(text):  # type: ignore[attr-defined]
        document = QTextDocument()
        document.setHtml(text)
        text = document.toPlainText()
    assert text == f"Show {name}"


def _middles(text: str, *parts: str) -> list[float]:
    """Where the middles of parts of a text are on its line, from left to right, pixels."""
    layout = QTextLayout(text)
    layout.beginLayout()
    line = layout.createLine()
    layout.endLayout()
    at = [text.index(part) + len(part) // 2 for part in parts]
    return [float(line.cursorToX(place)[0]) for place in at]


@pytest.mark.parametrize("name", ["גידול", "ورم", "ورم ليمفاوي", "גידול 2", "תא-גידול"])
@pytest.mark.parametrize("show", [isolated, as_it_is, for_button])
def test_a_number_stays_behind_a_name_written_from_right_to_left(
    qapp: object, name: str, show: Callable[[str], str]
) -> None:
    text = f"{name}: 345, stroma: 678"
    parts = (name, "345", "stroma", "678")
    shown = _middles(show(text), *parts)
    assert shown == sorted(shown)
    plain = _middles(text, *parts)
    assert plain != sorted(plain), "without isolates the number goes to the other side"
    assert without_marks(show(text)) == text


def test_labels_of_the_panel_isolate_names(qapp: object) -> None:
    label = forms.wrapped("גידול: 345 nuclei")
    name, number, rest = _middles(QLabel.text(label), "גידול", "345", "nuclei")
    assert name < number < rest
    assert label.text() == "גידול: 345 nuclei"
    assert isolated("tumor: 12, <b>") == "tumor: 12, <b>"
