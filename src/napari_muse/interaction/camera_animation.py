"""Moves the camera smoothly, so that the eye keeps track of where on the slide it is."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QElapsedTimer, QTimer

from napari_muse.annotations.coordinates import Placement

if TYPE_CHECKING:
    from napari.components import ViewerModel

_DURATION_MS = 220
_FRAME_MS = 16
_WIDEST_UM = 250.0
"""A view wider than this shows too little of a nucleus to judge it ..."""
_NEAR_UM = 110.0
"""... and becomes this wide."""
_UM_PER_UNKNOWN_PX = 0.5


class Flight:
    """A flight of the camera; a new one begins where the last has got to."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._clock = QElapsedTimer()
        self._timer = QTimer()
        self._timer.setInterval(_FRAME_MS)
        self._timer.timeout.connect(self._step)
        self._start = self._end = np.zeros(3)

    def to(self, x: float, y: float, placement: Placement, mpp: float | None) -> None:
        """Fly to a level-0 point, and zoom in far enough to judge a nucleus."""
        camera = self._viewer.scene.camera
        um_per_world = (mpp or _UM_PER_UNKNOWN_PX) / placement.pixel
        width_um = self._viewer.canvas.size[1] / camera.zoom * um_per_world
        zoom = camera.zoom * (width_um / _NEAR_UM if width_um > _WIDEST_UM else 1.0)
        row, column = placement.to_world([x], [y])[0]
        here = np.asarray(camera.center, dtype=float)[-2:]
        self._start = np.array([*here, np.log(camera.zoom)])
        self._end = np.array([row, column, np.log(zoom)])
        self._clock.start()
        self._timer.start()

    @property
    def under_way(self) -> bool:
        """Whether the camera is not there yet."""
        return bool(self._timer.isActive())

    def land(self) -> None:
        """Jump to the end of the flight."""
        if self.under_way:
            self._place(1.0)

    def stop(self) -> None:
        """Stop where the camera is, when the slide or the panel has been closed."""
        with suppress(RuntimeError):  # Qt has deleted it where the program ends with a window open.
            self._timer.stop()

    def _step(self) -> None:
        self._place(min(self._clock.elapsed() / _DURATION_MS, 1.0))

    def _place(self, share: float) -> None:
        if share >= 1.0:
            self._timer.stop()
        eased = share * share * (3 - 2 * share)
        row, column, zoom = self._start + eased * (self._end - self._start)
        camera = self._viewer.scene.camera
        camera.center = (0.0, float(row), float(column))
        camera.zoom = float(np.exp(zoom))
