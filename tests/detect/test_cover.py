"""Rectangles over cells: all covered, none twice, and hardly costlier than the optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from muse_core.detect.cover import Cells, Cover

HALO = 96


def least_by_any_cuts(worth: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> int:
    """The cost of the optimal cuts, by trying all."""
    known: dict[Cells, int] = {}

    def least(row: int, column: int, n: int, m: int) -> int:
        box = row, column, n, m
        if box not in known:
            inside = worth[row : row + n, column : column + m]
            best = 0
            if inside.any():
                best = int(
                    (rows[row + n] - rows[row] + 2 * HALO)
                    * (columns[column + m] - columns[column] + 2 * HALO)
                )
                for i in range(1, n):
                    parts = least(row, column, i, m) + least(row + i, column, n - i, m)
                    best = min(best, parts)
                for i in range(1, m):
                    parts = least(row, column, n, i) + least(row, column + i, n, m - i)
                    best = min(best, parts)
            known[box] = best
        return known[box]

    return least(0, 0, *worth.shape)


def cost(found: list[Cells], rows: np.ndarray, columns: np.ndarray) -> int:
    return sum(
        int((rows[r + n] - rows[r] + 2 * HALO) * (columns[c + m] - columns[c] + 2 * HALO))
        for r, c, n, m in found
    )


@pytest.mark.parametrize("smooth", [0.0, 0.8, 1.5])
def test_cutting_greedily_is_hardly_dearer_than_the_best_cuts(smooth: float) -> None:
    greedy = best = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        noise = ndimage.gaussian_filter(rng.normal(size=(9, 11)), smooth)
        worth = noise > np.quantile(noise, rng.uniform(0.1, 0.9))
        rows = np.minimum(np.arange(10) * 160, 9 * 160 - 64)
        columns = np.arange(12) * 192
        found = Cover(worth, rows, columns, HALO).of((0, 0, 9, 11))
        count = np.zeros(worth.shape, dtype=int)
        for r, c, n, m in found:
            count[r : r + n, c : c + m] += 1
        assert count.max(initial=0) <= 1
        assert (count[worth] == 1).all()
        greedy += cost(found, rows, columns)
        best += least_by_any_cuts(worth, rows, columns)
    assert best <= greedy <= 1.05 * best


def test_of_no_cell_there_is_no_rectangle() -> None:
    cover = Cover(np.zeros((3, 3), bool), np.arange(4) * 160, np.arange(4) * 160, HALO)
    assert cover.of((0, 0, 3, 3)) == []
