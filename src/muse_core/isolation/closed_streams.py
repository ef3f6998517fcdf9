"""Replace standard streams that were closed when the program was started."""

from __future__ import annotations

import os
import sys

_NAMES = ("stdin", "stdout", "stderr")


def open_closed_streams() -> None:
    """Open the null device for standard streams that are closed, as by ``>&-`` or by services.

    Otherwise the next file that is opened would get the descriptor of the stream, and libraries
    would print into it.
    """
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            # Opens the lowest free descriptor, which is this one: the lower ones are open by now.
            os.open(os.devnull, os.O_RDWR)
        mode = "w" if number else "r"
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
