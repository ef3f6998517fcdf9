"""Collector: settled nuclei become tables with running ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from muse_core.detect.uncertainty import ENTROPY, MARGIN, uncertainty
from muse_core.models.tile_detections import TileDetections
from muse_core.nuclei import nucleus_table


class Collector:
    """Nuclei as tables: numbers them, hands them on, keeps them for the result."""

    def __init__(
        self,
        model: str,
        class_names: Sequence[str],
        on_nuclei: Callable[[pd.DataFrame], None] | None,
    ) -> None:
        self.count = 0
        self._model = model
        self._names = np.array(list(class_names), dtype=object)
        self._on_nuclei = on_nuclei
        self._parts: list[TileDetections] = []

    def add(self, found: TileDetections, scale: float) -> None:
        """Take settled nuclei in model pixels; ``scale`` leads to level-0 pixels."""
        if not len(found):
            return
        level0 = found.scaled(scale)
        self._parts.append(level0)
        if self._on_nuclei is not None:
            unsure = uncertainty(level0.score, level0.class_probs)
            self._on_nuclei(
                self._table(level0, self.count).assign(
                    entropy=unsure[:, ENTROPY], margin=unsure[:, MARGIN]
                )
            )
        self.count += len(level0)

    def table(self) -> pd.DataFrame:
        """All of them."""
        return self._table(TileDetections.join(self._parts), 0)

    def _table(self, found: TileDetections, first_id: int) -> pd.DataFrame:
        return nucleus_table(
            found.x,
            found.y,
            self._names[found.class_index].tolist(),
            found.score,
            model=self._model,
            ids=np.arange(first_id, first_id + len(found)),
        )
