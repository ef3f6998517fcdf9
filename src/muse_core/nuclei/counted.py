"""Numbers with their nouns, as sentences for users have them."""

from __future__ import annotations


def counted(number: int, one: str, many: str) -> str:
    """Return such as "1 region" or "1,200 regions", from the noun for one and for many."""
    return f"1 {one}" if number == 1 else f"{number:,} {many}"


def counted_nuclei(number: int) -> str:
    """Return such as "1 nucleus" or "1,200 nuclei"."""
    return counted(number, "nucleus", "nuclei")
