"""Escape names from files, which Qt would otherwise interpret as HTML or shortcuts."""

from __future__ import annotations

import html


def as_it_is(text: str) -> str:
    """Return a text escaped for a tool tip or message box, which interpret HTML."""
    if "<" not in text:
        return text
    return f"<qt>{html.escape(text)}</qt>".replace("\n", "<br>")


def for_button(text: str) -> str:
    """Return a text escaped for a button or check box, on one line, where & marks a shortcut."""
    return " ".join(text.split()).replace("&", "&&")
