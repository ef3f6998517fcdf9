"""Events as messages."""

from __future__ import annotations

import pytest

from muse_core.jobs import Progress


@pytest.mark.parametrize(
    ("eta_s", "said"),
    [
        (None, ""),
        (0.4, ", 0 s left"),
        (59.4, ", 59 s left"),
        (59.6, ", 1 min 00 s left"),
        (3_605, ", 60 min 05 s left"),
    ],
)
def test_time_left(eta_s: float | None, said: str) -> None:
    assert Progress(1, 2, "Looking", eta_s).time_left == said
