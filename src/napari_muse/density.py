"""Where nuclei are too many to draw: how many there are of each class, as an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_muse.coordinates import to_layer
from napari_muse.reader import spatial_settings

if TYPE_CHECKING:
    from napari.components import ViewerModel

_LONGEST_SIDE = 1500
_SMALLEST_BIN_PX = 32.0
_FULL_SHARE = 0.9
"""A bin fuller than this share of the others is opaque."""


class DensityLayer:
    """An image over the whole slide, so that moving about costs nothing.

    A bin has the mixed colours of its nuclei and is the more opaque the more there are.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layer: Any = None

    def show(self, image: npt.NDArray[np.float32], bin_px: float, mpp: float | None) -> None:
        """Show an image of :func:`density_image`."""
        settings = spatial_settings(mpp)
        # Its first bin's centre, not its corner, is where napari puts it.
        corner = to_layer([bin_px / 2], [bin_px / 2])[0] * settings["scale"][0]
        placed = {
            "scale": tuple(s * bin_px for s in settings["scale"]),
            "translate": tuple(corner.tolist()),
            "units": settings["units"],
        }
        if self.layer is None or self.layer not in self._viewer.layers:
            self.layer = self._viewer.add_image(
                image, name="Nucleus density", rgb=True, interpolation2d="linear", **placed
            )
            self._lower()
            return
        self.layer.data = image
        self.layer.scale, self.layer.translate = placed["scale"], placed["translate"]
        self.layer.units = placed["units"]
        self.layer.visible = True

    def hide(self) -> None:
        """Take it out of sight; it is kept for the next time."""
        if self.visible:
            self.layer.visible = False

    @property
    def visible(self) -> bool:
        """Whether it is on screen."""
        return self.layer is not None and bool(self.layer.visible)

    def _lower(self) -> None:
        """Below the nuclei, which stay the active layer."""
        layers = self._viewer.layers
        index = len(layers) - 1
        if index > 0:
            layers.move(index, index - 1)
        layers.selection.active = layers[-1]


def density_image(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    class_index: npt.NDArray[np.int32],
    colors: npt.NDArray[np.float32],
    size: tuple[float, float],
) -> tuple[npt.NDArray[np.float32], float]:
    """Count nuclei in square bins and colour the bins.

    Args:
        x: (N,) level-0 pixels.
        y: (N,) level-0 pixels.
        class_index: (N,) index into the classes.
        colors: (K, 4) colours of the classes, 0 to 1.
        size: Width and height of the slide, pixels.

    Returns:
        (rows, columns, 4) float32, 0 to 1, and the side of a bin in pixels.
    """
    bin_px = max(_SMALLEST_BIN_PX, max(size) / _LONGEST_SIDE)
    columns, rows = (max(1, int(np.ceil(side / bin_px))) for side in size)
    column = np.clip((x / bin_px).astype(np.int64), 0, columns - 1)
    row = np.clip((y / bin_px).astype(np.int64), 0, rows - 1)
    n_classes = len(colors)
    flat = (row * columns + column) * n_classes + class_index
    counts = np.bincount(flat, minlength=rows * columns * n_classes)
    counts = counts.reshape(rows, columns, n_classes).astype(np.float32)
    total = counts.sum(axis=2)
    image = np.zeros((rows, columns, 4), dtype=np.float32)
    image[..., :3] = counts @ colors[:, :3] / np.maximum(total, 1)[..., None]
    filled = total[total > 0]
    full = float(np.quantile(filled, _FULL_SHARE)) if len(filled) else 1.0
    image[..., 3] = np.clip(total / full, 0, 1)
    return image, bin_px
