"""Names of files that are made from those of others."""

from __future__ import annotations

import os

_LONGEST_BASE = 200
"""Bytes of a name to which endings, numbers and marks are put; file systems take 255."""


def shortened(name: str, n_bytes: int = _LONGEST_BASE) -> str:
    """As many letters from the begin of a name as fit into some bytes; Chinese ones have three."""
    kept = os.fsencode(name)[:n_bytes]
    # What is left of a letter that is cut is no text; of names that are none all is kept.
    return name if len(kept) < n_bytes else kept.decode("utf-8", "ignore")
