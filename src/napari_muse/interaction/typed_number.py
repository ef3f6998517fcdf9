"""NumberRule: which texts a number field accepts, and how it shows values."""

from __future__ import annotations

from dataclasses import dataclass

from muse_core.errors import UserError
from muse_core.typed_number import may_be_thousands, read_number, read_whole

_SHOWN_DIGITS = 6


@dataclass(frozen=True)
class NumberRule:
    """Range, decimals and unit of a field for a number.

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
        # Typing after a click behind the word for "no value" leaves the word in the text.
        text = text.replace(self.unset, "") if self.unset else text
        if self.unset and not text.strip():
            return self.lowest
        if not self.decimals:
            value: float = read_whole(text, self.unit)
        else:
            value = read_number(text, self.unit)
            self._refuse_two_ways(text, value)
        if not self.least <= value <= self.most:
            raise UserError(
                f"{self.name} must lie between {self.least:g} and {self.most:g},"
                f" not {text.strip()}."
            )
        return round(value, self.decimals)

    def _refuse_two_ways(self, text: str, value: float) -> None:
        """Refuse 1,234 where a thousand would do as well; a point is always a decimal point."""
        if "." in text or not self.least <= 1000 * value <= self.most:
            return
        if may_be_thousands(text, self.unit):
            raise UserError(
                f"“{text.strip()}” can be read in two ways; type {1000 * value:.0f} or {value:g}."
            )

    def text_of(self, value: float) -> str:
        """Return a value with a decimal point and without trailing zeros."""
        return f"{value:.0f}" if not self.decimals else f"{value:.{_SHOWN_DIGITS}g}"
