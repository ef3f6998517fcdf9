"""Which reviewed fields are held back from training, the same in every later run.

The choice is made by field, never by nucleus, because nuclei of one field resemble each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

HELD_BACK_SHARE = 0.25


def field_key(slide_fingerprint: str, vertices: Sequence[Sequence[float]]) -> str:
    """Identifies a field by its slide and its outline, hexadecimal.

    Args:
        slide_fingerprint: Of the slide's content.
        vertices: (x, y) pairs, level-0 pixels; a hundredth of a pixel makes no difference.
    """
    corners = ";".join(f"{x:.1f},{y:.1f}" for x, y in vertices)
    return hashlib.sha256(f"{slide_fingerprint}|{corners}".encode()).hexdigest()


def is_held_back(key: str, others: Collection[bool]) -> bool:
    """Whether a field that is new is held back; what is decided is kept with the field.

    The first trains and the second is held back, so that two are enough for both. Each later one is
    held back by its key alone, unless one side has come to have none.

    Args:
        key: Of the field.
        others: Of each field there is, whether it is held back.
    """
    if not others or all(others):
        return False
    return not any(others) or share_of(key) < HELD_BACK_SHARE


def held_back_in_set(keys: Sequence[str]) -> tuple[bool, ...]:
    """Which fields are held back where they have no order, such as the images of a folder.

    Each by its key; if that leaves none to one side, the lowest key is held back or the highest
    trains. A single field trains.
    """
    if len(keys) < 2:
        return (False,) * len(keys)
    held = [share_of(key) < HELD_BACK_SHARE for key in keys]
    shares = [share_of(key) for key in keys]
    held[shares.index(min(shares))] = True
    held[shares.index(max(shares))] = False
    return tuple(held)


def share_of(key: str) -> float:
    """A key as a number, evenly spread from 0 to 1."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:12], 16) / 16**12
