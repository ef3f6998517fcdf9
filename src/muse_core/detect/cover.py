"""Cover the wanted cells of a grid with rectangles whose area, with halos, is small."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Cells = tuple[int, int, int, int]
"""First row, first column, number of rows and of columns."""
_Bools = npt.NDArray[np.bool_]
_Ints = npt.NDArray[np.int64]


class Cover:
    """Rectangles of cells that cost few pixels, found by cutting blocks in two.

    A greedy recursion: each block is cut where the bounding boxes of both parts together have the
    least area, and the cut is kept only if both parts, cut further, cost less than the whole. The
    result is close to the optimum at about a thousandth of an exhaustive search's work.
    """

    def __init__(self, worth: _Bools, row_px: _Ints, column_px: _Ints, halo_px: int) -> None:
        """Describe the grid.

        Args:
            worth: (rows, columns) which cells are to be covered.
            row_px: (rows + 1,) edges of the rows.
            column_px: (columns + 1,) edges of the columns.
            halo_px: What each rectangle costs on each side.
        """
        self._worth = worth
        self._edges = row_px, column_px
        self._halo = halo_px

    def of(self, block: Cells) -> list[Cells]:
        """The rectangles of a block of cells; none where no cell is worth it."""
        row, column, rows, columns = block
        inside = self._worth[row : row + rows, column : column + columns]
        if not inside.any():
            return []
        (top, bottom), (left, right) = (
            _ends(np.asarray(inside.any(axis=1 - axis))) for axis in (0, 1)
        )
        return self._cut((row + top, column + left, bottom - top, right - left))[1]

    def _cut(self, box: Cells) -> tuple[int, list[Cells]]:
        """Pixels to read, and the rectangles, of a box whose borders all have cells worth it."""
        row, column, rows, columns = box
        inside = self._worth[row : row + rows, column : column + columns]
        whole = self._cost(0, row, row + rows) * self._cost(1, column, column + columns)
        if inside.all() or whole <= self._least(inside, row, column):
            return whole, [box]
        cuts = [self._best_cut(inside if axis == 0 else inside.T, box, axis) for axis in (0, 1)]
        _, parts = min(cuts, key=lambda cut: cut[0])
        split = [self._cut(part) for part in parts]
        cost = sum(px for px, _ in split)
        if cost < whole:
            return cost, [cells for _, found in split for cells in found]
        return whole, [box]

    def _cost(self, axis: int, start: int, stop: int) -> int:
        edges = self._edges[axis]
        return int(edges[stop] - edges[start]) + 2 * self._halo

    def _least(self, inside: _Bools, row: int, column: int) -> float:
        """Return a lower bound on the pixels that cover these cells: one square of their area."""
        heights, widths = (
            np.diff(edges[start : start + n + 1])
            for edges, start, n in zip(self._edges, (row, column), inside.shape, strict=True)
        )
        side = math.sqrt(float(heights @ inside @ widths))
        return (side + 2 * self._halo) ** 2

    def _best_cut(self, inside: _Bools, box: Cells, axis: int) -> tuple[int, list[Cells]]:
        """The cut across an axis after which both boxes cost least, and the boxes.

        Args:
            inside: The cells of the box, the axis first.
            box: Where they are.
            axis: 0 cuts between rows, 1 between columns.
        """
        n, m = inside.shape
        if n == 1:
            return np.iinfo(np.int64).max, []
        starts = box[0], box[1]
        filled = inside.any(axis=1)
        first = np.where(filled, inside.argmax(axis=1), m)
        stop = np.where(filled, m - inside[:, ::-1].argmax(axis=1), 0)
        at = np.arange(n)
        # Before a cut: up to the last filled line; after it: from the first one on.
        end = np.maximum.accumulate(np.where(filled, at + 1, 0))[:-1]
        begin = np.minimum.accumulate(np.where(filled, at, n)[::-1])[::-1][1:]
        near = np.minimum.accumulate(first)[:-1], np.maximum.accumulate(stop)[:-1]
        far = (
            np.minimum.accumulate(first[::-1])[::-1][1:],
            np.maximum.accumulate(stop[::-1])[::-1][1:],
        )
        along = self._edges[axis][starts[axis] : starts[axis] + n + 1]
        across = self._edges[1 - axis][starts[1 - axis] : starts[1 - axis] + m + 1]
        halos = 2 * self._halo
        cost = (along[end] - along[0] + halos) * (across[near[1]] - across[near[0]] + halos)
        cost += (along[n] - along[begin] + halos) * (across[far[1]] - across[far[0]] + halos)
        i = int(cost.argmin())
        parts = [
            _box(starts, axis, (0, int(end[i])), (int(near[0][i]), int(near[1][i]))),
            _box(starts, axis, (int(begin[i]), n), (int(far[0][i]), int(far[1][i]))),
        ]
        return int(cost[i]), parts


def _box(
    starts: tuple[int, int], axis: int, along: tuple[int, int], across: tuple[int, int]
) -> Cells:
    rows, columns = (along, across) if axis == 0 else (across, along)
    return (
        starts[0] + rows[0],
        starts[1] + columns[0],
        rows[1] - rows[0],
        columns[1] - columns[0],
    )


def _ends(filled: _Bools) -> tuple[int, int]:
    """First true place, and the one after the last."""
    at = np.flatnonzero(filled)
    return int(at[0]), int(at[-1]) + 1
