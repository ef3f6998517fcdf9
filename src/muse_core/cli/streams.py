"""The program's standard streams, where whoever started it has closed them."""

from __future__ import annotations

import os
import sys

_NAMES = ("stdin", "stdout", "stderr")


def open_closed_streams() -> None:
    """Let closed standard streams lead nowhere, as ``>&-`` of a shell and some services leave them.

    The next file that is opened would otherwise get the number of one, and with it what libraries
    print.
    """
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one: those below are open by now.
            os.open(os.devnull, os.O_RDWR)
        mode = "w" if number else "r"
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
