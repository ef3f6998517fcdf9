"""Numbers as people of any country type them, and what a field takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from muse_core.errors import UserError

# A point in Arabic, Persian and other scripts; a minus as typesetters and spreadsheets write it.
_SAME = str.maketrans({"\N{ARABIC DECIMAL SEPARATOR}": ".", ",": ".", "\N{MINUS SIGN}": "-"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_SHOWN_DIGITS = 6


def read_number(text: str, unit: str = "") -> float:
    """A typed number, with a point or a comma before its decimals, in the digits of any script.

    Nothing marks thousands, for one country's mark is the other's decimal sign.

    Args:
        text: As typed, with or without the unit.
        unit: What may stand behind the number, such as "%".

    Raises:
        UserError: It is no number.
    """
    bare, sign = text.strip(), unit.strip()
    # The field's own unit stays when the number before it is typed anew with one.
    while sign and bare.endswith(sign):
        bare = bare.removesuffix(sign).strip()
    bare = bare.translate(_SAME)
    if not _NUMBER.fullmatch(bare):
        raise UserError(f"“{text.strip()}” is no number; type it like 0.25 or 0,25.")
    return float(bare)


@dataclass(frozen=True)
class NumberRule:
    """What a field for a number takes, and how it is shown.

    Attributes:
        name: What the number is, for sentences.
        least: Smallest value a person may give.
        most: Largest.
        decimals: Of the value kept; 0 is a whole number. Six digits at most are shown.
        unset: Shown for "no value", which is 0; without it there always is one.
        unit: Shown behind the number.
    """

    name: str
    least: float
    most: float
    decimals: int = 9
    unset: str = ""
    unit: str = ""

    @property
    def lowest(self) -> float:
        """The smallest value there can be, "no value" among them."""
        return min(0.0, self.least) if self.unset else self.least

    def value_of(self, text: str) -> float:
        """Return the value that a typed text means.

        Raises:
            UserError: It is no number, no whole one where that is asked for, or out of range.
        """
        # Who clicks behind the word and types leaves it there.
        text = text.replace(self.unset, "") if self.unset else text
        if self.unset and not text.strip():
            return self.lowest
        value = read_number(text, self.unit)
        if not self.decimals and not value.is_integer():
            raise UserError(f"{self.name} is a whole number, not {text.strip()}.")
        if not self.least <= value <= self.most:
            raise UserError(
                f"{self.name} must lie between {self.least:g} and {self.most:g},"
                f" not {text.strip()}."
            )
        return round(value, self.decimals)

    def text_of(self, value: float) -> str:
        """Return as few digits as there are, with a point."""
        return f"{value:.0f}" if not self.decimals else f"{value:.{_SHOWN_DIGITS}g}"
