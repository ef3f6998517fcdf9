"""Units of length by the names and symbols that metadata use."""

from __future__ import annotations

import unicodedata

_UM = {
    "Mm": 1e12,
    "km": 1e9,
    "hm": 1e8,
    "dam": 1e7,
    "m": 1e6,
    "dm": 1e5,
    "cm": 1e4,
    "mm": 1e3,
    "um": 1.0,
    "\N{GREEK SMALL LETTER MU}m": 1.0,
    "\N{GREEK SMALL LETTER MU}": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}": 1e-4,
    "in": 25400.0,
    "thou": 25.4,
    "mil": 25.4,
    "ft": 304800.0,
}
_NAMES = {
    "meter": 1e6,
    "decimeter": 1e5,
    "centimeter": 1e4,
    "millimeter": 1e3,
    "micrometer": 1.0,
    "micron": 1.0,
    "nanometer": 1e-3,
    "picometer": 1e-6,
    "angstrom": 1e-4,
    "\N{LATIN SMALL LETTER A WITH RING ABOVE}ngstr\N{LATIN SMALL LETTER O WITH DIAERESIS}m": 1e-4,
    "inch": 25400.0,
    "inche": 25400.0,
    "foot": 304800.0,
    "feet": 304800.0,
}
_CASELESS = ("um", "nm", "cm", "in", "\N{GREEK SMALL LETTER MU}m")
"""Symbols of which no other unit differs by capitals alone; "Mm" is not "mm"."""


def um_per_unit(unit: str) -> float | None:
    """Length of a unit in microns by its name or symbol, or None for others (pixel, ...)."""
    # ImageJ escapes what is not ASCII; UTF-8 taken for Latin-1 puts a letter before the sign.
    text = unit.strip().strip('"').replace("\\u00B5", "\N{MICRO SIGN}")
    text = text.replace("\\u00b5", "\N{MICRO SIGN}").replace("\\u03BC", "\N{MICRO SIGN}")
    text = text.replace(
        "\N{LATIN CAPITAL LETTER A WITH CIRCUMFLEX}\N{MICRO SIGN}", "\N{MICRO SIGN}"
    )
    # The two signs for micro become one, and those for angstrom.
    text = unicodedata.normalize("NFKC", text)
    if text in _UM:
        return _UM[text]
    lower = text.lower()
    if lower in _CASELESS:
        return _UM[lower]
    name = lower.replace("metre", "meter")
    return _NAMES.get(name, _NAMES.get(name.removesuffix("s")))
