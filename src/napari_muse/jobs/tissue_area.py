"""Tissue area of the current slide in mm², computed in a thread."""

from __future__ import annotations

from psygnal import Signal

from muse_core.slides import Slide, tissue_mask
from napari_muse.annotations.slide_key import SlideKey, slide_key
from napari_muse.jobs.background import Background
from napari_muse.session import MuseSession

_Key = tuple[SlideKey, float]


class TissueArea:
    """The area of tissue in mm², once it is known."""

    changed = Signal()

    def __init__(self, session: MuseSession) -> None:
        self._session = session
        self._known: dict[_Key, float | None] = {}
        self._background = Background()

    @property
    def mm2(self) -> float | None:
        """Area of the current slide's tissue; None while it is not known."""
        key = self._key()
        return None if key is None else self._known.get(key)

    def request(self) -> None:
        """Compute it for the current slide, unless it is known."""
        slide, key = self._session.slide, self._key()
        if slide is None or key is None or key in self._known:
            return
        self._known[key] = None
        self._background.do(
            lambda: _measure(slide, key[1]),
            lambda area: self._take(key, area),
            lambda _: self._forget(key),
        )

    def close(self) -> None:
        """Stop; what is under way is not waited for."""
        self._background.close()

    def _key(self) -> _Key | None:
        """The current slide and its scale, on which the area and the mask depend."""
        slide = self._session.slide
        return None if slide is None or slide.mpp is None else (slide_key(slide), slide.mpp)

    def _forget(self, key: _Key) -> None:
        """Compute it again the next time."""
        del self._known[key]

    def _take(self, key: _Key, area: float) -> None:
        self._known[key] = area
        self.changed.emit()


def _measure(slide: Slide, mpp: float) -> float:
    return float(tissue_mask(slide).area_mm2(mpp))
