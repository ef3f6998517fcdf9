"""Names of columns and properties, as programs spell them."""

from __future__ import annotations

from collections.abc import Iterable

_JOINED_BY = ("_", " ", "-", ".", "")
"""R writes points in place of all that is no letter."""


def spellings(*names: str) -> tuple[str, ...]:
    """Return names with their words joined in each way that programs join them.

    Args:
        names: Lower case, words joined by "_"; the surest first.
    """
    spelt = (mark.join(name.split("_")) for name in names for mark in _JOINED_BY)
    return tuple(dict.fromkeys(spelt))


def positions_in_pixels(axis: str) -> tuple[str, ...]:
    """Names of a column of positions that say that they are in pixels, lower case.

    Args:
        axis: "x" or "y".
    """
    return (*spellings(f"{axis}_px", f"centroid_{axis}_px"), f"{axis} [px]", f"{axis} (px)")


def by_lower_case(headings: Iterable[str]) -> dict[str, str]:
    """Headings by their names in lower case; of several, one that is lower case, or the first."""
    known = list(headings)
    return {name.lower(): name for name in reversed(known)} | {
        name: name for name in known if name == name.lower()
    }


CLASS_KEYS = (
    "class_name",
    "class",
    "classification",
    "cell_type",
    "celltype",
    "nucleus_type",
    "type",
    "label",
    "category",
)
"""Names under which programs write a nucleus' class; "classification" is QuPath's."""
CLASS_NAMES = spellings(*CLASS_KEYS)
SCORE_NAMES = spellings(
    "score", "probability", "prob", "type_prob", "detection_probability", "confidence"
)
"""Names under which programs write a probability."""
