from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from muse_core.training.schedules import cosine, one_cycle


def test_half_a_cosine_from_start_to_end() -> None:
    values = [cosine(done, 4.0, 2.0) for done in (0.0, 1 / 3, 0.5, 2 / 3, 1.0)]
    assert values == pytest.approx([4.0, 3.5, 3.0, 2.5, 2.0])


def test_each_group_rises_to_its_own_rate_and_falls_to_nothing() -> None:
    layers = [nn.Linear(1, 1), nn.Linear(1, 1)]
    groups: list[dict[str, Any]] = [
        {"params": layers[0].parameters(), "lr": 0.1},
        {"params": layers[1].parameters()},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    schedule = one_cycle(optimizer, 99, 0.2)
    rates = []
    for _ in range(99):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    first, second = zip(*rates, strict=True)
    assert max(first) == pytest.approx(0.1)
    assert first.index(max(first)) == 19
    assert first[-1] < 0.001
    assert [10 * r for r in second] == pytest.approx(first)
