"""Parse numbers and lengths in metadata, in the notations of makers and locales."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from muse_core.slides.units import um_per_unit

_GROUP_MARKS = "'\N{RIGHT SINGLE QUOTATION MARK} "
_NUMBER = re.compile(r"([+-]?)([0-9.,' \N{RIGHT SINGLE QUOTATION MARK}]+)(e[+-]?[0-9]{1,4})?")
_NO_VALUE = re.compile(r"[+-]?(nan|inf|infinity)")
_LENGTH = re.compile(r"(.*[0-9.,])\s*([^0-9.,]*)")
_PER_PIXEL = re.compile(r"\s*(/|per)\s*(px|pixel)s?")
_MARKS = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{ARABIC DECIMAL SEPARATOR}": ".",
        "\N{ARABIC THOUSANDS SEPARATOR}": "'",
    }
)
_LONGEST = 100
_SHOWN = 40


class NoLengthError(ValueError):
    """What metadata state in place of a length; its text is half a sentence that names it."""


def stated_number(text: object) -> float | None:
    """A text as a number, or None unless all of it is one.

    A single point or comma is the decimal mark. If both occur, the last one is the decimal mark and
    the other separates thousands: 1.234,5 and 1,234.5 and 1'234.5 are the same. Digits may be those
    of any script. "nan" and "inf" are numbers, for callers to refuse.

    Args:
        text: Of metadata; numbers are given back as they are, anything else is None.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    plain = _plain(text).lower()
    if _NO_VALUE.fullmatch(plain):
        return float(plain)
    match = _NUMBER.fullmatch(plain)
    digits = _digits(match[2]) if match else None
    if match is None or digits is None:
        return None
    return float(f"{match[1]}{digits}{match[3] or ''}")


def stated_length_um(text: object, default_unit: str = "um") -> float | None:
    """A text as a length in microns, or None unless all of it is a number and perhaps a unit.

    Args:
        text: Such as "0,499", "499 nm" or "0.499 um/px".
        default_unit: Unit of a bare number.
    """
    bare = stated_number(text)
    if bare is not None or not isinstance(text, str) or len(text) > _LONGEST:
        unit = um_per_unit(default_unit)
        return None if bare is None or unit is None else bare * unit
    match = _LENGTH.fullmatch(_plain(text))
    if match is None:
        return None
    value, unit = stated_number(match[1]), um_per_unit(_PER_PIXEL.sub("", match[2]))
    return None if value is None or unit is None else value * unit


def first_length_um(name: str, texts: Iterable[object], default_unit: str = "um") -> float | None:
    """The first of several texts that is a length, in microns; None where all are missing or empty.

    Args:
        name: What the metadata call it, for the error.
        texts: See :func:`stated_length_um`.
        default_unit: Unit of a bare number.

    Raises:
        NoLengthError: There are texts and none of them is a length.
    """
    known = [text for text in texts if text is not None and str(text).strip(" \t\r\n\0\"'")]
    lengths = (stated_length_um(text, default_unit) for text in known)
    found = next((length for length in lengths if length is not None), None)
    if found is None and known:
        shown = " ".join("".join(c if c.isprintable() else " " for c in str(known[0])).split())
        cut = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        unit = "" if um_per_unit(default_unit) else f" {default_unit[:_SHOWN]}"
        raise NoLengthError(f"its metadata says {name} = {cut}{unit}, which is no length")
    return found


def _plain(text: str) -> str:
    """A text in the digits of ASCII; hard and thin spaces become plain ones."""
    plain = unicodedata.normalize("NFKC", text).translate(_MARKS).strip(" \t\r\n\0\"'")
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in plain)


def _digits(text: str) -> str | None:
    """Digits with a point as decimal mark and nothing between them, or None."""
    used = [m for m in ".," if m in text]
    if len(used) == 2:
        decimal = max(used, key=text.rindex)
        used.remove(decimal)
        whole, _, part = text.partition(decimal)
        group = used[0]
    elif used and text.count(used[0]) == 1:
        whole, _, part = text.partition(used[0])
        group = ""
    else:
        whole, part, group = text, "", used[0] if used else ""
    groups = [m for m in _GROUP_MARKS if m in whole] + ([group] if group else [])
    if len(groups) > 1:
        return None
    if groups:
        if not re.fullmatch(rf"[0-9]{{1,3}}({re.escape(groups[0])}[0-9]{{3}})+", whole):
            return None
        whole = whole.replace(groups[0], "")
    if not re.fullmatch("[0-9]*", whole + part) or not whole + part:
        return None
    return f"{whole or '0'}.{part or '0'}"
