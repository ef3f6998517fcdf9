"""How much tissue there is on the current slide, worked out beside the interface."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from psygnal import Signal
from qtpy.QtCore import QTimer

from muse_core.errors import UserError
from muse_core.slides import Slide, tissue_mask
from napari_muse.session import MuseSession

_POLL_MS = 150


class TissueArea:
    """The area of tissue in mm², once it is known."""

    changed = Signal()

    def __init__(self, session: MuseSession) -> None:
        self._session = session
        self._known: dict[Path, float | None] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="tissue")
        self._waiting: tuple[Path, Future[float | None]] | None = None
        self._timer = QTimer()
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def mm2(self) -> float | None:
        """Area of the current slide's tissue; None while it is not known."""
        slide = self._session.slide
        return self._known.get(slide.path) if slide is not None else None

    def request(self) -> None:
        """Have it worked out for the current slide."""
        slide = self._session.slide
        if slide is None or slide.mpp is None or slide.path in self._known or self._waiting:
            return
        self._waiting = slide.path, self._pool.submit(_measure, slide, slide.mpp)
        self._timer.start()

    def close(self) -> None:
        """Stop; what is under way is not waited for."""
        self._timer.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _poll(self) -> None:
        if self._waiting is None or not self._waiting[1].done():
            return
        path, future = self._waiting
        self._waiting = None
        self._timer.stop()
        self._known[path] = future.result()
        self.changed.emit()


def _measure(slide: Slide, mpp: float) -> float | None:
    try:
        return float(tissue_mask(slide).area_mm2(mpp))
    except UserError:
        return None
