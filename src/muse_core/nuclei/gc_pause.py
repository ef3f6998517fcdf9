"""Pausing Python's garbage collector where it only costs time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """Context without garbage collection in this process.

    While millions of small lists and dictionaries are created, the collector scans all of them
    again and again for cycles: two thirds of the time of reading outlines.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
