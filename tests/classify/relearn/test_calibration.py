from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from muse_core.classify.relearn.calibration import temperature


def test_it_finds_how_far_logits_overstate() -> None:
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((20_000, 3))
    p = softmax(logits, axis=1)
    classes = (rng.uniform(size=(len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    weights = np.ones(len(p))
    assert temperature(logits, classes, weights) == pytest.approx(1, abs=0.05)
    assert temperature(3 * logits, classes, weights) == pytest.approx(3, rel=0.05)
    assert temperature(logits / 2, classes, weights) == pytest.approx(0.5, rel=0.05)


def test_few_examples_hardly_move_it() -> None:
    assert temperature(np.array([[9.0, 0.0]]), np.array([0]), np.ones(1)) == pytest.approx(1, 0.2)
    assert temperature(np.zeros((0, 2)), np.zeros(0, int), np.zeros(0)) == 1
