from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.classify.relearn.regions import region_folds, region_weights


@pytest.mark.parametrize(("power", "crowd"), [(0.0, 4.0), (0.5, 2.0), (1.0, 1.0)])
def test_a_crowd_weighs_as_the_power_says(power: float, crowd: float) -> None:
    xy = np.array([[1, 1], [2, 2], [3, 3], [4, 4], [500, 500]], float)
    weights = region_weights(xy, 100, power)
    assert weights[:4].sum() == pytest.approx(crowd)
    assert weights[4] == 1


def test_no_corrections_have_no_weights() -> None:
    assert region_weights(np.zeros((0, 2)), 100, 0.5).shape == (0,)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(2, 6), st.integers(0, 999))
def test_folds_are_all_there_and_nearly_equal(n: int, folds: int, seed: int) -> None:
    xy = np.random.default_rng(seed).uniform(0, 1000, (n, 2))
    fold = region_folds(xy, folds)
    sizes = np.bincount(fold)
    assert len(sizes) == min(n, folds)
    assert sizes.min() >= 1
    assert sizes.max() <= max(2 * sizes.min() + 1, 2)


def test_clusters_are_not_torn_apart() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [0, 5000], [5000, 0], [5000, 5000]], float)
    xy = np.concatenate([c + rng.uniform(0, 50, (10, 2)) for c in centres])
    fold = region_folds(xy, 4)
    assert [len(np.unique(fold[i : i + 10])) for i in range(0, 40, 10)] == [1, 1, 1, 1]
    assert len(np.unique(fold)) == 4
