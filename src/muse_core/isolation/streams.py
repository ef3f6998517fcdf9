"""Reserve a process's standard streams for what its parent writes and reads."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO


def claim_stdout() -> BinaryIO:
    """Return stdout as a stream, and redirect what libraries print, also from C, to stderr."""
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(own, "wb")


def claim_stdin() -> BinaryIO:
    """Return stdin as a stream, and leave an empty one in its place.

    While a thread waits for input, Windows lets no other ask for so much as the type of that
    stream, as the run-time library of Fortran does when SciPy is loaded: it would wait for ever.
    """
    own = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return os.fdopen(own, "rb")
