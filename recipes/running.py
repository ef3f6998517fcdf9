"""Runs a recipe from the command line."""

from __future__ import annotations

from collections.abc import Callable

import typer

from muse_core.errors import UserError


def run_recipe(main: Callable[..., None]) -> None:
    """Like ``typer.run``, but what can be put right is said in one sentence.

    Raises:
        SystemExit: The recipe has ended.
    """
    try:
        typer.run(main)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
