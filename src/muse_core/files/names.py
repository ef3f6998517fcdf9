"""Names of files that are derived from other names."""

from __future__ import annotations

import os

_LONGEST_BASE = 200
"""Most bytes of a name before suffixes and numbers are added; file systems allow 255."""


def shortened(name: str, n_bytes: int = _LONGEST_BASE) -> str:
    """Cut a name to a number of bytes in UTF-8, at a character boundary."""
    kept = os.fsencode(name)[:n_bytes]
    # What is left of a letter that is cut is no text; of names that are none all is kept.
    return name if len(kept) < n_bytes else kept.decode("utf-8", "ignore")
