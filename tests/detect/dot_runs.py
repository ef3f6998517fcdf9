"""Runs over slides of dots: settings, comparison of results, unreadable tiles."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from muse_core.detect import DetectConfig
from muse_core.errors import UserError
from muse_core.slides import Region, Slide

SMALL_TILES = DetectConfig(device="cpu", tile_px=192, halo_px=32, batch=3, readers=2)


def note(steps: list[tuple[int, int]], done: int, total: int, message: str) -> None:
    steps.append((done, total))


def places(table: pd.DataFrame) -> set[tuple[Any, ...]]:
    return set(table[["x", "y", "class_name", "score"]].itertuples(index=False, name=None))


class BrokenReads(Slide):
    """A slide with a place; what has a part in it fails to be read a number of times."""

    def __init__(self, whole: Slide, broken: Region, error: Exception, times: int = 99) -> None:
        super().__init__(whole._source, whole.mpp)
        self.broken, self.error, self.times = broken, error, times
        self.tries: Counter[Region] = Counter()
        self._lock = threading.Lock()

    def read(self, region: Region, mpp: float | None = None, half: bool = False) -> np.ndarray:
        with self._lock:
            self.tries[region] += 1
            call = self.tries[region]
        if call <= self.times and mpp == 0.5 and region.w < 300 and region.touches(self.broken):
            raise self.error
        return super().read(region, mpp, half)


DAMAGED = UserError("The file is damaged.")
