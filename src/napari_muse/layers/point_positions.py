"""The positions of the points, which the console may write into without an event."""

from __future__ import annotations

from typing import Any

import numpy as np

from muse_core.array_types import FloatArray
from napari_muse.napari_compat import set_quietly


class PointPositions:
    """Writes the positions of a layer, and finds those that have been changed since unannounced."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._known: FloatArray = layer.data.copy()
        self._dragging = False

    def write(self, positions: FloatArray) -> None:
        """Give the layer (n, 2) other positions, without events."""
        set_quietly(self._layer, "data", positions)
        if not self._layer.visible:
            # napari would keep the old indices, and fail where one changes the opacity.
            self._layer.set_view_slice()
        self._known, self._dragging = self._layer.data.copy(), False

    def follow(self, action: str) -> None:
        """Follow an event of the layer's data, with which a tool announces its changes."""
        self._dragging = action == "changing"
        if action == "changed":
            self._known = self._layer.data.copy()

    def taken(self) -> list[int]:
        """Return which points have moved unannounced since the last call; none during a drag."""
        now = self._layer.data
        if self._dragging or now.shape != self._known.shape:
            return []
        moved = np.flatnonzero((now != self._known).any(axis=1))
        if len(moved):
            self._known = now.copy()
        return [int(index) for index in moved]
