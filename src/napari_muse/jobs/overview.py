"""Compute the coarse levels of an image that has none, in the background while it is shown."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from qtpy.QtCore import QTimer

from muse_core.errors import UserError
from muse_core.slides import Slide
from muse_core.slides.level import Level
from muse_core.slides.overview import OverviewLevel, make_overview, overview_sizes
from muse_core.slides.overview_cache import (
    begin_overview,
    drop_overview,
    find_overview,
    finish_overview,
)
from napari_muse.napari_compat import open_viewers

_LOG = logging.getLogger(__name__)
OVERVIEW_KEY = "muse_overview"
"""Layer metadata: the Overview that is being made of the layer's image."""
THREAD = "muse-overview"
_TICK_MS = 500
_PATIENCE_S = 60.0
"""Time that napari has to create the layer of a slide that was read."""


class Overview:
    """Levels below the coarsest of a slide, and the thread that computes them.

    The thread works only while the layer is visible, and ends when the layer is removed. Complete
    levels are cached for the next time.
    """

    def __init__(self, base: Level, levels: list[OverviewLevel], is_made: bool) -> None:
        """Start the thread, unless all levels are complete."""
        self.levels = levels
        self._base = base
        self._cancelled = threading.Event()
        self._may_work = threading.Event()
        self._may_work.set()
        self._ended = is_made
        self._shown_rows = 0
        self._layer: Any = None
        self._deadline = time.monotonic() + _PATIENCE_S
        self._timer = QTimer()
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)
        if not is_made:
            threading.Thread(target=self._make, name=THREAD, daemon=True).start()
            self._timer.start()

    @classmethod
    def of(cls, slide: Slide) -> Overview | None:
        """The overview of a slide, new or complete; None if there is no room to store one."""
        base = slide.source.levels[-1]
        sizes = overview_sizes(base.height, base.width)
        try:
            made = find_overview(slide, sizes)
            levels = made or begin_overview(slide, sizes)
        except OSError as error:
            _LOG.info("no overview of %s: %s", slide.name, error)
            return None
        return None if levels is None else cls(base, levels, made is not None)

    @property
    def is_made(self) -> bool:
        """Whether the work has ended."""
        return self._ended

    def cancel(self) -> None:
        """Stop the work before the next band of the image."""
        self._cancelled.set()
        self._may_work.set()
        self._timer.stop()

    def _make(self) -> None:
        whole = False
        try:
            whole = make_overview(self._base, self.levels, self._should_stop)
            if whole:
                finish_overview(self.levels)
        except (OSError, UserError) as error:
            _LOG.warning("no overview of %s: %s", self._base.name, error)
        finally:
            if not whole:
                for level in self.levels:
                    level.give_up()
                drop_overview(self.levels)
            self._ended = True

    def _should_stop(self) -> bool:
        self._may_work.wait()
        return self._cancelled.is_set()

    def _tick(self) -> None:
        """Follow the layer, and show in it what has been computed since the last call."""
        layer = self._find_layer()
        if layer is None:
            return
        if layer.visible:
            self._may_work.set()
        else:
            self._may_work.clear()
        ended, rows = self._ended, self.levels[0].rows
        if layer.visible and (ended or rows != self._shown_rows):
            self._shown_rows = rows
            # Nothing less makes napari read the coarsest level again.
            layer.data = layer.data
        if ended:
            self._timer.stop()

    def _find_layer(self) -> Any:
        """The layer, once it exists; when it is removed, the work ends."""
        layers = [layer for viewer in open_viewers() for layer in viewer.layers]
        if self._layer is None:
            found = (x for x in layers if x.metadata.get(OVERVIEW_KEY) is self)
            self._layer = next(found, None)
            if self._layer is None and time.monotonic() > self._deadline:
                self.cancel()
        elif not any(x is self._layer for x in layers):
            self.cancel()
            self._layer = None
        return self._layer
