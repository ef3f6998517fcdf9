"""Offsets of class logits that hold in the neighbourhood of corrections.

A model errs differently in different tissue, as in one tumour nest or one core, which a change for
the whole slide cannot express. So each class has an offset for every square window that contains a
correction: a random intercept of the place, e.g. Gelman and Hill, "Data Analysis Using Regression
and Multilevel/Hierarchical Models", 2007, chapter 14. Windows overlap: they begin at each cell of a
grid, of which they are 4 x 4, so that the sum fades out with the distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

CellNumbers = npt.NDArray[np.int64]

_SIDE = 4
"""Cells along a window's side."""
_ROW = 1 << 32
"""Between the numbers of a cell and of the one to its right; those below are one apart."""
_FARTHEST = float(1 << 30)


def cells_of(xy: npt.NDArray[np.floating], window: float) -> CellNumbers:
    """Numbers (N,) of the cells that positions (N, 2) lie in, for windows of that side."""
    at = np.floor(np.asarray(xy, np.float64) * (_SIDE / window))
    whole = np.nan_to_num(at).clip(-_FARTHEST, _FARTHEST).astype(np.int64)
    return np.asarray(whole[:, 0] * _ROW + whole[:, 1])


@dataclass(frozen=True)
class PlaceOffsets:
    """Offsets of K logits in T cells; elsewhere they are 0.

    Attributes:
        cells: (T,) ascending numbers of cells.
        values: (K, T + 1) float32; the last is 0.
    """

    cells: CellNumbers
    values: npt.NDArray[np.float32]

    @classmethod
    def none(cls, n_classes: int) -> PlaceOffsets:
        """No offsets anywhere."""
        return cls(np.zeros(0, np.int64), np.zeros((n_classes, 1), np.float32))

    def at(self, cells: CellNumbers) -> npt.NDArray[np.float32] | None:
        """(K, n) offsets in cells (n,); None where all are 0."""
        if not len(self.cells):
            return None
        places = np.searchsorted(self.cells, cells)
        there = self.cells[np.minimum(places, len(self.cells) - 1)] == cells
        if not there.any():
            return None
        places[~there] = len(self.cells)
        return self.values[:, places]


@dataclass(frozen=True)
class Windows:
    """The C windows that contain one of n examples.

    Attributes:
        first_cells: (C,) number of the top left cell of each.
        members: (n, C), 1/4 where an example lies in a window, so that the squares of a row add
            up to 1.
    """

    first_cells: CellNumbers
    members: csr_array

    @classmethod
    def around(cls, cells: CellNumbers) -> Windows:
        """The windows that contain the cells (n,) of examples."""
        first_cells, column = np.unique(cells[:, None] - _steps(), return_inverse=True)
        n_entries = len(cells) * _SIDE**2
        members = csr_array(
            (
                np.full(n_entries, 1 / _SIDE),
                column.ravel(),
                np.arange(0, n_entries + 1, _SIDE**2),
            ),
            shape=(len(cells), len(first_cells)),
        )
        return cls(first_cells, members)

    def offsets(self, values: npt.NDArray[np.float64]) -> PlaceOffsets:
        """Sum up (C, K) values of the windows for each cell in one of them."""
        cells, column = np.unique(self.first_cells[:, None] + _steps(), return_inverse=True)
        of_windows = np.repeat(values / _SIDE, _SIDE**2, axis=0)
        sums = [np.bincount(column.ravel(), of, len(cells) + 1) for of in of_windows.T]
        return PlaceOffsets(cells, np.array(sums, np.float32))


def _steps() -> CellNumbers:
    """(16,) from the number of a window's first cell to those of its cells."""
    step = np.arange(_SIDE)
    return np.asarray((step[:, None] * _ROW + step).ravel())
