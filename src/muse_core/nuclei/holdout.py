"""Choose which reviewed fields are in the holdout, the same in every later run.

The choice is made by field, never by nucleus, because nuclei of one field resemble each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

HOLDOUT_SHARE = 0.25


def field_key(slide_fingerprint: str, vertices: Sequence[Sequence[float]]) -> str:
    """Return the key of a field, a hash of its slide and outline, hexadecimal.

    Args:
        slide_fingerprint: Of the slide's content.
        vertices: (x, y) pairs, level-0 pixels; a hundredth of a pixel makes no difference.
    """
    corners = ";".join(f"{x:.1f},{y:.1f}" for x, y in vertices)
    return hashlib.sha256(f"{slide_fingerprint}|{corners}".encode()).hexdigest()


def is_holdout(key: str, others: Collection[bool]) -> bool:
    """Return whether a new field joins the holdout; the caller keeps the decision.

    The first field is for training and the second is the holdout, so that two are enough. Each
    later one is decided by its key alone, unless training or holdout have no field left.

    Args:
        key: Of the field.
        others: Of each field there is, whether it is in the holdout.
    """
    if not others or all(others):
        return False
    return not any(others) or share_of(key) < HOLDOUT_SHARE


def holdout_in_set(keys: Sequence[str]) -> tuple[bool, ...]:
    """Return which fields are the holdout where they have no order, such as a folder's images.

    Each is decided by its key. If that leaves no holdout, the field with the lowest key becomes it;
    if it leaves none for training, the one with the highest key is. A single field is for training.
    """
    if len(keys) < 2:
        return (False,) * len(keys)
    held = [share_of(key) < HOLDOUT_SHARE for key in keys]
    shares = [share_of(key) for key in keys]
    held[shares.index(min(shares))] = True
    held[shares.index(max(shares))] = False
    return tuple(held)


def share_of(key: str) -> float:
    """A key as a number, evenly spread from 0 to 1."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:12], 16) / 16**12
