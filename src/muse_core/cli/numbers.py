"""Parse numbers in command-line options, in the same way as fields of the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from muse_core.errors import UserError
from muse_core.typed_number import read_number, read_whole

_N = TypeVar("_N", int, float)


class BadNumberError(Exception):
    """Error of an option whose text is not the number it takes.

    It is not a UserError, because that is a ValueError, to which typer adds text of its own.

    Attributes:
        given: As typed.
    """

    def __init__(self, sentence: str, given: str) -> None:
        super().__init__(sentence)
        self.given = given

    def of(self, arguments: Sequence[str]) -> str:
        """Return the sentence with the option before it, of a command line that has it."""
        for before, argument in zip(("", *arguments), arguments, strict=False):
            option, found, value = argument.partition("=")
            if before.startswith("--") and argument == self.given:
                return f"{before}: {self}"
            if option.startswith("--") and found and value == self.given:
                return f"{option}: {self}"
        return str(self)


def number(given: str | float) -> float:
    """Return what an option was given; a default passes.

    Raises:
        BadNumberError: It is no finite number.
    """
    return _read(given, read_number) if isinstance(given, str) else given


def integer(given: str | int) -> int:
    """Return what an option was given; a default passes.

    Raises:
        BadNumberError: It is no whole number, or 1,000, which may be one or a thousand.
    """
    return _read(given, read_whole) if isinstance(given, str) else given


def _read(given: str, read: Callable[[str], _N]) -> _N:
    try:
        return read(given)
    except UserError as error:
        raise BadNumberError(str(error), given) from error
