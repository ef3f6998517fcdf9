"""Messages between a window and its jobs, as JSON."""

from __future__ import annotations

from typing import TypedDict


class WindowImage(TypedDict):
    """Description of an image that a window lends; ``levels`` are heights and widths."""

    name: str
    format: str
    mpp: float | None
    mpp_note: str
    downsamples: list[float]
    levels: list[list[int]]
    notes: list[str]
