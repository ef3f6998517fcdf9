"""Names with their nouns, as sentences for users have them."""

from __future__ import annotations


def named(noun: str, name: str) -> str:
    """Return such as "class tumor"; a name that has the noun already, as "class 6", alone."""
    return name if name.casefold().startswith(f"{noun} ") else f"{noun} {name}"
