from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.classify.disagreement import neighbour_disagreement


def _by_hand(features: np.ndarray, classes: np.ndarray, k: int) -> list[float]:
    """One nucleus at a time, in float64."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    found = []
    for i in range(len(unit)):
        others = [j for j in range(len(unit)) if j != i]
        others.sort(key=lambda j: -float(unit[i] @ unit[j]))
        votes = [(np.exp(float(unit[i] @ unit[j]) / 0.07), classes[j]) for j in others[:k]]
        total = sum(w for w, _ in votes)
        found.append(sum(w for w, c in votes if c != classes[i]) / total)
    return found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(3, 40), k=st.integers(1, 8))
def test_as_worked_out_one_by_one(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    features, classes = rng.normal(size=(n, 5)), rng.integers(0, 3, n)
    found = neighbour_disagreement(features, classes, neighbours=k)
    np.testing.assert_allclose(found, _by_hand(features, classes, min(k, n - 1)), atol=2e-4)


def test_one_among_strangers_stands_out() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal([9, 0], 0.1, (50, 2)), rng.normal([0, 9], 0.1, (50, 2))])
    classes = np.repeat([0, 1], 50)
    classes[7] = 1
    found = neighbour_disagreement(features, classes, reference=60)
    assert found.argmax() == 7
    assert found[7] > 0.9
    assert np.median(found) < 0.1


def test_alone_there_is_nobody_to_disagree() -> None:
    assert np.isnan(neighbour_disagreement(np.ones((1, 3)), np.zeros(1, int))).all()
