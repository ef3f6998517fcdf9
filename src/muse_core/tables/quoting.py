"""Quotes around the texts of a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Literal


def quoting_of(texts: Iterable[object]) -> Literal[0, 2]:
    """Return the quoting mode, of :mod:`csv`, for writing some texts.

    If lines end in a line feed, the writers of Python and pandas do not quote a text that contains
    a carriage return, which readers take for the end of a line.

    Args:
        texts: All texts of a file.
    """
    returns = any("\r" in text for text in texts if isinstance(text, str))
    return csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
