"""Parse numbers that users type, in the notations of different countries."""

from __future__ import annotations

import math
import re

from muse_core.errors import UserError

# A point in Arabic, Persian and other scripts; marks as typesetters and wide keyboards write them.
_SAME = str.maketrans(
    {
        "\N{ARABIC DECIMAL SEPARATOR}": ".",
        "\N{FULLWIDTH FULL STOP}": ".",
        "\N{FULLWIDTH COMMA}": ".",
        ",": ".",
        "\N{MINUS SIGN}": "-",
        "\N{FULLWIDTH HYPHEN-MINUS}": "-",
    }
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_LONGEST = 100


def read_number(text: str, unit: str = "") -> float:
    """Parse a typed number; both a point and a comma are decimal marks.

    Digits may be those of any script. Thousands separators are not accepted, because one country's
    separator is another's decimal mark.

    Args:
        text: As typed, with or without the unit.
        unit: What may stand behind the number, such as "%".

    Raises:
        UserError: It is no number, or not a finite one.
    """
    bare = _bare(text, unit)
    if len(bare) > _LONGEST or not _NUMBER.fullmatch(bare):
        raise UserError(f"“{_shown(text)}” is no number; type it like 0.25 or 0,25.")
    value = float(bare)
    if not math.isfinite(value):
        raise UserError(f"“{_shown(text)}” is too large a number.")
    return value


def read_whole(text: str, unit: str = "") -> int:
    """Parse a typed whole number; 2.0 and 2e3 are accepted.

    Args:
        text: As typed, with or without the unit.
        unit: What may stand behind the number.

    Raises:
        UserError: It is not a whole number, or ambiguous like 1,000 or 1.000.
    """
    value, bare = read_number(text, unit), _bare(text, unit)
    if may_be_thousands(text, unit):
        raise UserError(
            f"“{_shown(text)}” can be read in two ways; type a whole number without marks, like"
            f" {re.sub('[.]', '', bare)}."
        )
    if not value.is_integer():
        raise UserError(f"“{_shown(text)}” is no whole number.")
    # Beyond 2**53 a float is not exact.
    return int(bare) if bare.lstrip("+-").isdecimal() else int(value)


def may_be_thousands(text: str, unit: str = "") -> bool:
    """Whether a point or comma before three digits may be a thousands separator."""
    return _GROUPED.fullmatch(_bare(text, unit)) is not None


def _bare(text: str, unit: str) -> str:
    bare, sign = text.strip(), unit.strip()
    # The field's own unit stays when the number before it is typed anew with one.
    while sign and bare.endswith(sign):
        bare = bare.removesuffix(sign).strip()
    return bare.translate(_SAME)


def _shown(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
