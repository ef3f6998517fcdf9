from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from muse_core.finetune.full.ema import warmed_up_average


def test_decay_rises_to_its_end_as_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(model, multi_avg_fn=warmed_up_average(0.3))
    expected = 0.0
    for n, value in enumerate([2.0, 4.0, 8.0, 16.0, 32.0, 64.0]):
        nn.init.constant_(model.weight, value)
        averaged.update_parameters(model)
        # The first update copies; then decay is (1 + n) / (10 + n) until that exceeds 0.3.
        decay = min(0.3, (1 + n) / (10 + n)) if n else 0.0
        expected = decay * expected + (1 - decay) * value
        assert averaged.module.get_parameter("weight").item() == pytest.approx(expected, rel=1e-6)


def test_a_reach_of_a_half_as_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(model, multi_avg_fn=warmed_up_average(0.9999, 0.5))
    values = [2.0, 4.0, 8.0, 16.0, 32.0]
    for value in values:
        nn.init.constant_(model.weight, value)
        averaged.update_parameters(model)
    # Unrolled from the end: the weight of a step is its share of what later steps leave.
    kept, expected = 1.0, 0.0
    for n in reversed(range(1, len(values))):
        expected += kept * 2 / (3 + n) * values[n]
        kept *= 1 - 2 / (3 + n)
    expected += kept * values[0]
    assert averaged.module.get_parameter("weight").item() == pytest.approx(expected, rel=1e-6)


def test_counters_are_copied_and_statistics_averaged() -> None:
    model = nn.BatchNorm1d(2)
    averaged = AveragedModel(model, multi_avg_fn=warmed_up_average(0.9), use_buffers=True)
    for _ in range(3):
        model(torch.randn(4, 2))
        averaged.update_parameters(model)
    assert averaged.module.get_buffer("num_batches_tracked").item() == 3
    assert not torch.equal(
        averaged.module.get_buffer("running_mean"), model.get_buffer("running_mean")
    )
