"""Collector: numbers and counts settled nuclei, passes them to a callback and stores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.detect.spool import Spool
from muse_core.models.tile_detections import TileDetections
from muse_core.nuclei import empty_table, nucleus_table

PART_ROWS = 1 << 14


class Collector:
    """Collects nuclei as they are settled; then yields the result in parts, any number of times.

    Attributes:
        count: Nuclei so far.
        counts: (K,) of each class.
    """

    def __init__(
        self,
        model: str,
        class_names: Sequence[str],
        on_nuclei: Callable[[TileDetections], None] | None,
        spool: Spool,
    ) -> None:
        self.count = 0
        self.counts = np.zeros(len(class_names), np.int64)
        self._model = model
        self._names = np.array(list(class_names), dtype=object)
        self._on_nuclei = on_nuclei
        self._spool = spool

    def add(self, found: TileDetections, scale: float) -> None:
        """Take settled nuclei in model pixels; ``scale`` is level-0 pixels per model pixel."""
        if not len(found):
            return
        level0 = found.scaled(scale)
        self._spool.add(level0)
        if self._on_nuclei is not None:
            self._on_nuclei(level0)
        self.count += len(level0)
        self.counts += np.bincount(level0.class_index, minlength=len(self.counts))

    @property
    def class_counts(self) -> dict[str, int]:
        """Return the number of nuclei of each class."""
        return dict(zip(self._names.tolist(), self.counts.tolist(), strict=True))

    def tables(self, rows: int = PART_ROWS) -> Iterator[pd.DataFrame]:
        """Yield the result, in order, as NucleusTables of about the given number of rows."""
        first = 0
        for part in self._spool.parts(rows):
            yield self._table(part, first)
            first += len(part)

    def features(self, rows: int = PART_ROWS) -> Iterator[npt.NDArray[np.float16] | None]:
        """Yield (n, C) features for the rows of each of :meth:`tables`, or None if not kept."""
        return (part.features for part in self._spool.parts(rows))

    def table(self) -> pd.DataFrame:
        """Return all nuclei as one table."""
        parts = list(self.tables())
        return pd.concat(parts, ignore_index=True) if parts else empty_table()

    def _table(self, found: TileDetections, first_id: int) -> pd.DataFrame:
        return nucleus_table(
            found.x,
            found.y,
            self._names[found.class_index].tolist(),
            found.score,
            model=self._model,
            ids=np.arange(first_id, first_id + len(found)),
        )
