"""Names from files, shown as they are where Qt takes a text that looks like HTML for HTML."""

from __future__ import annotations

import html


def as_it_is(text: str) -> str:
    """Return what a tool tip or a message box shows as the text, whatever stands in it."""
    if "<" not in text:
        return text
    return f"<qt>{html.escape(text)}</qt>".replace("\n", "<br>")


def for_button(text: str) -> str:
    """Return what a button or check box shows as the text, on one line: a single & is no key."""
    return " ".join(text.split()).replace("&", "&&")
