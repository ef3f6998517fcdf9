"""Decide when the camera shows a slide as a whole, and leave out other slides when it does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from muse_core.slides import Slide
from napari_muse.layers.slide_guard import PERSONS_KEY

if TYPE_CHECKING:
    from napari_muse.session import MuseSession

_FILLED = 0.95
"""Part of the canvas that napari fills when it resets the view."""
_ROUNDING = 0.01


class WholeView:
    """Shows a slide as a whole when it is new, and when napari's home button is pressed.

    napari shows all layers then, and so the slide that is shown beside the place of a larger one
    that is hidden.
    """

    def __init__(self, session: MuseSession) -> None:
        self._session = session
        session.viewer.events.reset_view.connect(self._on_reset)

    def is_due(self, slide: Slide | None, layer: Any, is_new: bool) -> bool:
        """Whether a slide is to be shown as a whole when it follows the one that is shown.

        Planes of a stack and other images of the same size keep the camera.

        Args:
            slide: The slide, None if there is none any more.
            layer: Its layer.
            is_new: Whether it was never shown in this window.
        """
        before = self._session.slide
        if slide is None or before is None:
            return slide is not None
        is_persons = layer.metadata.get(PERSONS_KEY)
        return is_new and not is_persons and _size_of(slide) != _size_of(before)

    def is_out_of_view(self) -> bool:
        """Whether nothing of the current slide is on the canvas."""
        slide = self._session.slide
        return slide is not None and not self._session.nuclei.field_of_view().intersect(
            slide.bounds
        )

    def _on_reset(self, event: Any) -> None:
        """Leave hidden layers out of account, if napari has shown all layers."""
        viewer, image = self._session.viewer, self._session.image_layer
        shown = [x for x in viewer.layers if x.visible or x is image]
        if image is None or len(shown) == len(viewer.layers):
            return
        canvas = np.asarray(viewer.canvas.size)
        middle, zoom = _camera(viewer.layers, canvas)
        near = np.abs(middle - event.center[-2:]) * zoom < _ROUNDING * canvas
        if near.all() and np.isclose(event.zoom, zoom, rtol=_ROUNDING):
            middle, viewer.scene.camera.zoom = _camera(shown, canvas)
            viewer.scene.camera.center = (0.0, *middle.tolist())


def _camera(layers: Iterable[Any], canvas: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], float]:
    """Centre (y, x) and zoom with which layers fill a canvas of this height and width."""
    extents = np.array([layer.extent.world[:, -2:] for layer in layers])
    low, high = np.nanmin(extents[:, 0], axis=0), np.nanmax(extents[:, 1], axis=0)
    return (low + high) / 2, _FILLED * float(np.min(canvas / (high - low)))


def _size_of(slide: Slide) -> tuple[int, int, float | None]:
    return slide.width, slide.height, slide.mpp
