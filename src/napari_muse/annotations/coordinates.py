"""Convert between slide coordinates and napari's; no other module does.

Slide coordinates are level-0 pixels (x, y) relative to the corner of the first pixel. napari's
layer data are (y, x) relative to the centre of the first pixel; world coordinates are layer data
times the scale of the slide's layer, plus its translation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.array_types import FloatArray

_HALF_PIXEL = 0.5


def to_layer(x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
    """Level-0 x and y, (N,) each, to layer data (N, 2) in the order y, x."""
    stacked = np.stack([np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)], axis=-1)
    return stacked - _HALF_PIXEL


def from_layer(data: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Layer data (N, 2) in the order y, x to level-0 x and y, (N,) each."""
    points = np.asarray(data, dtype=np.float64).reshape(-1, 2) + _HALF_PIXEL
    return points[:, 1], points[:, 0]


@dataclass(frozen=True)
class Placement:
    """Position, scale and units of a slide, and of all that is drawn on it, in napari's world.

    Attributes:
        scale: World units per level-0 pixel along y and x, above 0 and nearly the same.
        corner: World coordinates y, x of the centre of the first pixel.
        unit: Of the world, as napari names units.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    corner: tuple[float, float] = (0.0, 0.0)
    unit: str = "pixel"

    @classmethod
    def of_mpp(cls, mpp: float | None) -> Placement:
        """Return the placement of slides opened by MUSE: microns, or pixels while MPP is None."""
        return cls() if mpp is None else cls((mpp, mpp), unit="um")

    @classmethod
    def of_layer(cls, layer: Any, unit: str) -> Placement:
        """Return the placement of a layer that is not turned, in a unit."""
        (top, left), (height, width) = layer.translate[-2:].tolist(), layer.scale[-2:].tolist()
        return cls((height, width), (top, left), unit)

    @property
    def settings(self) -> dict[str, object]:
        """Return the settings of a new two-dimensional layer whose data are level-0 pixels."""
        return {
            "scale": self.scale,
            "translate": self.corner,
            "units": (self.unit, self.unit),
        }

    @property
    def pixel(self) -> float:
        """World units per level-0 pixel, averaged over y and x."""
        return sum(self.scale) / 2

    def apply(self, layer: Any) -> None:
        """Place a layer whose data are level-0 pixels; axes before the last two stay."""
        more = layer.ndim - 2
        layer.scale = (*layer.scale[:more], *self.scale)
        layer.translate = (*layer.translate[:more], *self.corner)
        layer.units = (*layer.units[:more], self.unit, self.unit)

    def to_world(self, x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
        """Level-0 x and y, (N,) each, to world coordinates (N, 2) in the order y, x."""
        world: FloatArray = to_layer(x, y) * np.asarray(self.scale) + np.asarray(self.corner)
        return world

    def from_world(self, world: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """World coordinates (N, D) in the order y, x to level-0 x and y, (N,) each.

        If there are more than two axes, the last two are used.
        """
        points = np.atleast_2d(np.asarray(world, dtype=np.float64))[:, -2:]
        return from_layer((points - np.asarray(self.corner)) / np.asarray(self.scale))
