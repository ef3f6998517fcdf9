from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.classify.relearn.logistic import Ridge, fit_change
from muse_core.classify.relearn.place_offsets import PlaceOffsets, Windows, cells_of

WINDOW = 400.0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.floats(50, 5000))
def test_offsets_are_the_sums_over_the_windows_that_contain_a_place(
    seed: int, n: int, span: float
) -> None:
    rng = np.random.default_rng(seed)
    xy, others = rng.uniform(-span, span, (n, 2)), rng.uniform(-span, span, (50, 2))
    windows = Windows.around(cells_of(xy, WINDOW))
    np.testing.assert_allclose(windows.members.power(2).sum(axis=1), 1)
    values = rng.standard_normal((len(windows.first_cells), 2))
    found = windows.offsets(values)
    at_examples = found.at(cells_of(xy, WINDOW))
    assert at_examples is not None
    np.testing.assert_allclose(at_examples.T, windows.members @ values, atol=1e-5)
    below = (windows.first_cells + (1 << 31)) % (1 << 32) - (1 << 31)
    corners = np.stack([(windows.first_cells - below) >> 32, below], axis=1)
    cell = np.floor(others / (WINDOW / 4))[:, None]
    inside = ((cell >= corners) & (cell < corners + 4)).all(axis=2)
    around = found.at(cells_of(others, WINDOW))
    expected = inside @ values / 4
    np.testing.assert_allclose(0 if around is None else around.T, expected, atol=1e-5)


def test_a_correction_counts_less_with_the_distance_and_not_beyond_a_window() -> None:
    x, y = np.zeros((2, 3)), np.array([0, 1])
    cells = cells_of(np.array([[50.0, 50.0], [9050.0, 50.0]]), WINDOW)
    windows = Windows.around(cells)
    _, offsets = fit_change(x, np.zeros((2, 2)), y, np.ones(2), Ridge(1, 1, 1), windows)
    away = np.array([[50.0 + 100 * i, 50.0] for i in range(5)])
    around = offsets.at(cells_of(away, WINDOW))
    assert around is not None
    np.testing.assert_allclose(around[0] / around[0, 0], [1, 0.75, 0.5, 0.25, 0], atol=1e-5)
    assert around[0, 0] > 0 > around[1, 0]


@pytest.mark.parametrize("place", [np.nan, np.inf, -np.inf, 1e300])
def test_places_out_of_bounds_are_in_some_cell(place: float) -> None:
    windows = Windows.around(cells_of(np.array([[place, 3.0]]), WINDOW))
    offsets = windows.offsets(np.ones((len(windows.first_cells), 1)))
    assert offsets.at(cells_of(np.array([[100.0, 1e6]]), WINDOW)) is None


def test_there_are_none_without_examples() -> None:
    assert PlaceOffsets.none(3).at(np.arange(4)) is None
