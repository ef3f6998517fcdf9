"""Collector: settled nuclei become tables with running ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from muse_core.detect.seams import Found
from muse_core.detect.uncertainty import ENTROPY, MARGIN
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
        self._parts: list[Found] = []

    def add(self, found: Found, scale: float) -> None:
        """Take settled nuclei in model pixels; ``scale`` leads to level-0 pixels."""
        if not len(found):
            return
        level0 = replace(found, x=found.x * scale, y=found.y * scale)
        self._parts.append(level0)
        if self._on_nuclei is not None:
            chunk = self._table(level0, self.count)
            self._on_nuclei(
                chunk.assign(
                    entropy=level0.uncertainty[:, ENTROPY], margin=level0.uncertainty[:, MARGIN]
                )
            )
        self.count += len(level0)

    def table(self) -> pd.DataFrame:
        """All of them."""
        return self._table(Found.join(self._parts), 0)

    def _table(self, found: Found, first_id: int) -> pd.DataFrame:
        return nucleus_table(
            found.x,
            found.y,
            self._names[found.class_index].tolist(),
            found.score,
            model=self._model,
            ids=np.arange(first_id, first_id + len(found)),
        )
