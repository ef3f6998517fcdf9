"""A format under test: how a valid file is made and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A format.

    Attributes:
        make: Writes valid files into an empty folder; returns the path to open.
        read: Opens that path and reads everything; UserError is the only error it may raise.
        share: Relative number of cases that it gets in a run.
        isolated: Whether the product reads it in a separate process, which may crash and hang.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    share: int = 4
    isolated: bool = False
