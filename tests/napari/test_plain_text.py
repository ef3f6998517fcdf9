from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument

from napari_muse.plain_text import as_it_is


@pytest.mark.parametrize("name", ["tumor", "<b>x</b>", "a &lt; b", "a & b", "&amp;", "1 < 2"])
def test_a_tool_tip_says_a_name_as_it_is(name: str) -> None:
    text = as_it_is(f"Show {name}")
    if Qt.mightBeRichText(text):  # type: ignore[attr-defined]
        document = QTextDocument()
        document.setHtml(text)
        text = document.toPlainText()
    assert text == f"Show {name}"
