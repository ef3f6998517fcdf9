"""How much tissue there is on the current slide, worked out beside the interface."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal

from muse_core.slides import Slide, tissue_mask
from napari_muse.jobs.background import Background
from napari_muse.session import MuseSession


class TissueArea:
    """The area of tissue in mm², once it is known."""

    changed = Signal()

    def __init__(self, session: MuseSession) -> None:
        self._session = session
        self._known: dict[tuple[Path, str], float | None] = {}
        self._background = Background()

    @property
    def mm2(self) -> float | None:
        """Area of the current slide's tissue; None while it is not known."""
        slide = self._session.slide
        return self._known.get(slide.key) if slide is not None else None

    def request(self) -> None:
        """Have it worked out for the current slide."""
        slide = self._session.slide
        if slide is None or slide.mpp is None or slide.key in self._known:
            return
        key, mpp = slide.key, slide.mpp
        self._known[key] = None
        self._background.do(
            lambda: _measure(slide, mpp), lambda area: self._take(key, area), lambda _: None
        )

    def close(self) -> None:
        """Stop; what is under way is not waited for."""
        self._background.close()

    def _take(self, key: tuple[Path, str], area: float) -> None:
        self._known[key] = area
        self.changed.emit()


def _measure(slide: Slide, mpp: float) -> float:
    return float(tissue_mask(slide).area_mm2(mpp))
