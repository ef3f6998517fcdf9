"""Names from files as they are: not taken for HTML or shortcuts, and broken where they are long."""

from __future__ import annotations

import html
import re

ZERO_WIDTH_SPACE = "\u200b"
_LONG_WORD = re.compile(r"\S{25,}")
_BREAK = re.compile(r"([^\W_]{12}(?=[^\W_])|[-_./\\](?=\w))")
"""After these parts of a long word its line may break."""


def as_it_is(text: str) -> str:
    """Return a text escaped for a tool tip or message box, which interpret HTML."""
    # Qt takes "&lt;" for HTML too.
    if "<" not in text and "&lt;" not in text:
        return text
    return f"<qt>{html.escape(text)}</qt>".replace("\n", "<br>")


def for_button(text: str) -> str:
    """Return a text escaped for a button or check box, on one line, where & marks a shortcut."""
    return " ".join(text.split()).replace("&", "&&")


def breakable(text: str) -> str:
    """Return a text with places of no width in its long words, at which lines may break."""
    return _LONG_WORD.sub(lambda word: _BREAK.sub(rf"\1{ZERO_WIDTH_SPACE}", word[0]), text)
