"""Quotes around the texts of a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Literal


def quoting_of(texts: Iterable[object]) -> Literal[0, 2]:
    """Which texts need quotes, as the writers of Python and pandas are told it.

    Where lines end with a line feed, they leave a carriage return inside a text without quotes,
    and readers take it for the end of a line.

    Args:
        texts: Those of a file.
    """
    returns = any("\r" in text for text in texts if isinstance(text, str))
    return csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
