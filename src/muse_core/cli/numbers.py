"""How every option of the command line reads its number: as the fields of the window do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import typer

from muse_core.errors import UserError
from muse_core.typed_number import read_number, read_whole

_N = TypeVar("_N", int, float)


def number(given: str | float) -> float:
    """Return what an option was given; a default passes.

    Raises:
        typer.BadParameter: It is no finite number.
    """
    return _read(given, read_number) if isinstance(given, str) else given


def integer(given: str | int) -> int:
    """Return what an option was given; a default passes.

    Raises:
        typer.BadParameter: It is no whole number, or 1,000, which may be one or a thousand.
    """
    return _read(given, read_whole) if isinstance(given, str) else given


def _read(text: str, read: Callable[[str], _N]) -> _N:
    try:
        return read(text)
    except UserError as error:
        raise typer.BadParameter(str(error)) from error
