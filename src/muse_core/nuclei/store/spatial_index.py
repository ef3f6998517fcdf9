"""Spatial index: an R-tree of grid squares; each nucleus has the number of its square."""

from __future__ import annotations

import sqlite3

import numpy as np
import numpy.typing as npt

SQUARE_PX = 256
_PER_ROW = 1 << 21


def square_sql() -> str:
    """The number of a nucleus' square, as an expression over its x and y."""
    # A cast cuts towards zero, so that the squares of row and column 0 reach below it.
    return f"CAST(y / {SQUARE_PX} AS INTEGER) * {_PER_ROW} + CAST(x / {SQUARE_PX} AS INTEGER)"


def ensure_squares(
    connection: sqlite3.Connection, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> None:
    """Put the squares of points into the R-tree; squares that are there already stay."""
    column, row = np.trunc(x / SQUARE_PX).astype(np.int64), np.trunc(y / SQUARE_PX).astype(np.int64)
    number, first = np.unique(row * _PER_ROW + column, return_index=True)
    boxes = zip(
        number.tolist(),
        *_extent(column[first]),
        *_extent(row[first]),
        strict=True,
    )
    connection.executemany("INSERT OR IGNORE INTO squares VALUES (?, ?, ?, ?, ?)", boxes)


def _extent(index: npt.NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Lowest and highest coordinate of squares along one axis."""
    low = np.where(index > 0, index, index - 1) * SQUARE_PX
    high = np.where(index < 0, index, index + 1) * SQUARE_PX
    return low.tolist(), high.tolist()
