"""Schedules of learning rates."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR


def cosine(done: float, start: float, end: float) -> float:
    """Return a value that goes from start to end along half a cosine, done from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def one_cycle(optimizer: Optimizer, steps: int, warmup_share: float) -> OneCycleLR:
    """Return a schedule in which each group's rate rises to its present value and falls to 0.

    Args:
        optimizer: Its groups have their peak rates.
        steps: Of the run.
        warmup_share: Share of the steps in which rates rise.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, peaks, total_steps=steps + 1, pct_start=warmup_share)
