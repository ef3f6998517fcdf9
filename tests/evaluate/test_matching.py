from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.evaluate.matching import Counts, count_matches, match_points

POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=12)


def _brute_force(
    found: list[tuple[int, int]], true: list[tuple[int, int]], radius: float
) -> set[tuple[int, int]]:
    edges = sorted(
        (np.hypot(f[0] - t[0], f[1] - t[1]), i, j)
        for i, f in enumerate(found)
        for j, t in enumerate(true)
        if np.hypot(f[0] - t[0], f[1] - t[1]) <= radius
    )
    pairs: set[tuple[int, int]] = set()
    for _, i, j in edges:
        if all(i != a and j != b for a, b in pairs):
            pairs.add((i, j))
    return pairs


@given(POINTS, POINTS, st.sampled_from([1.0, 2.5, 6.0]))
def test_pairs_are_those_of_brute_force(
    found: list[tuple[int, int]], true: list[tuple[int, int]], radius: float
) -> None:
    pairs = match_points(found, true, radius)
    assert {(int(i), int(j)) for i, j in pairs} == _brute_force(found, true, radius)


def test_hand_worked_image() -> None:
    # Found 0 is nearest to true 0; found 1 is in range of true 0 only, which is taken; found 2
    # is exactly at the radius from true 1; true 2 has no match.
    found = [(10.0, 10.0), (12.0, 10.0), (26.0, 10.0)]
    true = [(9.5, 10.0), (20.0, 10.0), (40.0, 40.0)]
    counts = count_matches(found, true, 6.0)
    assert counts == Counts(true_positive=2, false_positive=1, false_negative=1)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(2 / 3)
    assert counts.f1 == pytest.approx(2 / 3)


def test_nothing_found_and_nothing_there() -> None:
    assert count_matches([], [], 6.0).f1 == 0.0
    assert count_matches([], [(1.0, 1.0)], 6.0) == Counts(0, 0, 1)
    assert count_matches([(1.0, 1.0)], [], 6.0) == Counts(0, 1, 0)


def test_counts_pool_over_images() -> None:
    assert Counts(1, 2, 3) + Counts(10, 20, 30) == Counts(11, 22, 33)
