from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.classify.relearn.asking import ask_next


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 120), st.integers(0, 50), st.integers(0, 999))
def test_each_is_asked_once_and_the_rest_by_doubt(n: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, doubt = rng.standard_normal((n, 4)), rng.uniform(size=n)
    order = ask_next(features, doubt, count)
    assert sorted(order.tolist()) == list(range(n))
    assert (np.diff(doubt[order[count:]]) <= 0).all()
    if count and n:
        assert order[0] == doubt.argmax()


def test_of_two_alike_one_is_asked_first_and_the_other_later() -> None:
    features = np.array([[1.0, 0], [1, 0.01], [1, 0.02], [0, 1]])
    doubt = np.array([0.9, 0.89, 0.88, 0.7])
    assert ask_next(features, doubt, 2).tolist() == [0, 3, 1, 2]
    assert ask_next(features, doubt, 0).tolist() == [0, 1, 2, 3]


def test_what_nobody_doubts_is_asked_last() -> None:
    features, doubt = np.eye(40), np.linspace(1, 0, 40)
    assert 39 not in ask_next(features, doubt, 5)[:5].tolist()
