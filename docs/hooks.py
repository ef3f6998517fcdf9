"""Inserts the help of the command line into reference/cli.md."""

from __future__ import annotations

from typing import Any

import typer
from typer.cli import get_docs_for_click

PLACE = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marker on the page by the help of every command."""
    if PLACE not in markdown:
        return markdown
    from muse_core.cli.app import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="muse")
    text = get_docs_for_click(obj=command, ctx=context, name="muse")
    return markdown.replace(PLACE, text.split("\n", 1)[1])
