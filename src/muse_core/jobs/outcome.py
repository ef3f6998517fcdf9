"""Outcome: how a job that did not fail ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """The end of a job.

    Attributes:
        cancelled: Whether it stopped early because it was asked to.
        message: One sentence for the user.
        result: JSON-able figures.
    """

    cancelled: bool
    message: str
    result: Mapping[str, Any]
