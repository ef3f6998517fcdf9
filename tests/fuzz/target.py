"""A format under test: how a sound file is made and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A format.

    Attributes:
        make: Writes sound files into an empty folder; returns the path to open.
        read: Opens that path and looks at everything; UserError is the only error it may raise.
        share: How many of the cases of a run it gets, compared with others.
        isolated: Whether the product reads it in a process of its own, which may crash and hang.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    share: int = 4
    isolated: bool = False
