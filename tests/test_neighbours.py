from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from muse_core.neighbours import distances_between, near_any, pairs_within, repeated

# Integers, so that distances are exact and often equal the limit.
points = st.integers(0, 12).flatmap(
    lambda n: arrays(np.float64, (n, 2), elements=st.integers(0, 9).map(float))
)
radii = st.sampled_from([0.0, 1.0, 2.0, 5.0])


def all_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    distances: np.ndarray = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    return distances


@given(points, points, radii)
def test_near_any_is_what_all_distances_say(a: np.ndarray, b: np.ndarray, radius: float) -> None:
    expected = (all_distances(a, b) <= radius).any(axis=1)
    np.testing.assert_array_equal(near_any(a, b, radius), expected)


@given(points, radii)
def test_pairs_are_all_that_are_near(a: np.ndarray, radius: float) -> None:
    expected = np.argwhere(np.triu(all_distances(a, a) <= radius, 1))
    assert sorted(pairs_within(a, radius).tolist()) == expected.tolist()


@given(points, points, radii)
def test_distances_between_two_sets(a: np.ndarray, b: np.ndarray, radius: float) -> None:
    found = distances_between(a, b, radius)
    expected = all_distances(a, b)
    assert sorted(zip(found["i"].tolist(), found["j"].tolist(), strict=True)) == [
        tuple(pair) for pair in np.argwhere(expected <= radius).tolist()
    ]
    np.testing.assert_allclose(found["v"], expected[found["i"], found["j"]])


@given(points, radii)
def test_of_those_that_are_the_same_the_first_stays(a: np.ndarray, radius: float) -> None:
    drop: list[bool] = []
    for i, row in enumerate(all_distances(a, a) <= radius):
        drop.append(any(row[j] and not drop[j] for j in range(i)))
    assert repeated(pairs_within(a, radius), len(a)).tolist() == drop
