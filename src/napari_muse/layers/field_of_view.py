"""Get and set the part of a slide that the canvas shows, through napari's camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from muse_core.slides import Region
from napari_muse.annotations.coordinates import Placement

if TYPE_CHECKING:
    from napari.components import ViewerModel

_AREA_MARGIN = 1.2


def field_of_view(viewer: ViewerModel, placement: Placement) -> Region:
    """Return the region that the canvas shows, level-0 pixels."""
    height, width = viewer.canvas.size
    zoom = max(viewer.scene.camera.zoom, 1e-9)
    y, x = np.asarray(viewer.scene.camera.center)[-2:]
    w, h = width / zoom, height / zoom
    (left,), (top,) = placement.from_world([[y - h / 2, x - w / 2]])
    pixel_h, pixel_w = placement.scale
    return Region(float(left), float(top), float(w / pixel_w), float(h / pixel_h))


def show_area(viewer: ViewerModel, placement: Placement, area: Region) -> None:
    """Bring a region, level-0 pixels, into view with a margin."""
    height, width = viewer.canvas.size
    row, column = placement.to_world([area.x + area.w / 2], [area.y + area.h / 2])[0]
    camera = viewer.scene.camera
    camera.zoom = min(width / area.w, height / area.h) / placement.pixel / _AREA_MARGIN
    camera.center = (0.0, float(row), float(column))
