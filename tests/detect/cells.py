"""Turn a predicate of a cell's rectangle into one of a whole grid, as plan_tiles takes it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from muse_core.detect.plan import WorthReading
from muse_core.slides import Region


def each(worth: Callable[[Region], bool]) -> WorthReading:
    """Return the predicate for a whole grid."""

    def ask(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        cells = [
            [Region(x0, y0, x1 - x0, y1 - y0) for x0, x1 in itertools.pairwise(x)]
            for y0, y1 in itertools.pairwise(y)
        ]
        return np.array([[worth(cell) for cell in row] for row in cells], dtype=bool)

    return ask
