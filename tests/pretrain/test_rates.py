from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from muse_core.pretrain.config import LossesConfig, PretrainConfig, ScheduleConfig
from muse_core.pretrain.rates import rates_at

CONFIG = PretrainConfig(
    rois=Path("rois"),
    out=Path("out"),
    schedule=ScheduleConfig(
        epochs=100,
        epoch_samples=640,
        batch=64,
        learning_rate=4e-4,
        final_learning_rate=1e-6,
        warmup_epochs=10,
        weight_decay=(0.04, 0.4),
        teacher_momentum=(0.99, 1.0),
    ),
    losses=LossesConfig(teacher_temperature=(0.04, 0.07), teacher_warmup_epochs=30),
)


def test_learning_rate_rises_to_the_scaled_peak_and_falls() -> None:
    rates = [rates_at(step, CONFIG).learning_rate for step in range(1000)]
    assert rates[0] == pytest.approx(1e-4 / 101)
    assert max(rates) == rates[100] == pytest.approx(1e-4)
    assert rates[550] == pytest.approx((1e-4 + 1e-6) / 2)
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] == pytest.approx(1e-6, rel=0.01)


def test_decay_momentum_and_temperature() -> None:
    first, middle, last = (rates_at(step, CONFIG) for step in (0, 500, 1000))
    assert (first.weight_decay, last.weight_decay) == pytest.approx((0.04, 0.4))
    assert middle.weight_decay == pytest.approx(0.22)
    assert (first.teacher_momentum, last.teacher_momentum) == pytest.approx((0.99, 1.0))
    assert rates_at(150, CONFIG).teacher_temperature == pytest.approx(0.055)
    assert last.teacher_temperature == 0.07


def test_prototypes_are_frozen_in_the_first_epoch() -> None:
    frozen = [rates_at(step, CONFIG).prototypes_frozen for step in (0, 9, 10, 11)]
    assert frozen == [True, True, False, False]


def test_a_short_run_warms_up_in_a_fifth_of_it() -> None:
    short = dataclasses.replace(CONFIG, schedule=dataclasses.replace(CONFIG.schedule, epochs=5))
    assert rates_at(10, short).learning_rate == pytest.approx(1e-4)
