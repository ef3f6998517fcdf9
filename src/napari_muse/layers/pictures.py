"""Find layers of other plugins that MUSE can use as slides, and why others cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import zarr

from muse_core.slides.mpp import MAX_ANISOTROPY, combine_mpp
from muse_core.slides.units import um_per_unit
from napari_muse.io.reader import FILE_KEY
from napari_muse.layers.slide_guard import FIXED_KEY
from napari_muse.layers.slide_layers import own_unit

_TYPES = ("uint8", "uint16")
_COLOURS = (3, 4)
_KINDS = ("Image", "Labels")
"""Types of layers that the user may want to choose."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels, name, file and scale of an image layer, copied from it for use in a thread.

    Attributes:
        levels: Arrays, finest first.
        name: Of the layer.
        path: The file the layer was read from, or None.
        mpp: Microns per pixel by the layer's scale and units, or None.
        mpp_note: Half a sentence: why they give no MPP, or "".
    """

    levels: tuple[Any, ...]
    name: str
    path: Path | None
    mpp: float | None
    mpp_note: str

    @classmethod
    def of(cls, layer: Any) -> Picture:
        """Read it from a layer for which :func:`obstacle` returns ""."""
        mpp, note = layer_mpp(layer)
        path = layer.source.path
        return cls(
            _levels(layer), layer.name, Path(path) if isinstance(path, str) else None, mpp, note
        )


def is_picture(layer: Any) -> bool:
    """Whether the user may want to choose a layer; not for layers that MUSE draws."""
    own = layer.metadata.get(FIXED_KEY) or FILE_KEY in layer.metadata
    return type(layer).__name__ in _KINDS and not own


def obstacle(layer: Any) -> str:
    """Return why a layer cannot be used as a slide, one sentence; "" if it can."""
    return _what_it_shows(layer) or where_it_lies(layer)


def _what_it_shows(layer: Any) -> str:
    name = f"“{layer.name}”"
    if type(layer).__name__ != "Image":
        return f"{name} holds labels and no picture; MUSE looks at RGB images of stained tissue."
    if can_be_colours(layer):
        return (
            f"{name} is shown as {len(_levels(layer)[0])} planes of grey. If they are its red,"
            " green and blue, press “Use as RGB”."
        )
    shape = _levels(layer)[0].shape
    if not layer.rgb and layer.ndim == 2:
        return (
            f"{name} has one channel, as fluorescence has; MUSE looks at RGB images of stained"
            " tissue."
        )
    if not layer.rgb:
        return f"{name} is a stack of grey images; MUSE looks at flat RGB images."
    if any(n != 1 for n in shape[:-3]):
        planes = int(np.prod(shape[:-3]))
        return (
            f"{name} is a stack of {planes:,} RGB images; MUSE looks at flat ones: add the one you"
            " mean as a layer of its own."
        )
    if str(np.dtype(layer.dtype).newbyteorder("=")) not in _TYPES:
        return (
            f"{name} holds {layer.dtype} values; turn them into uint8, from 0 to 255, and add the"
            " result."
        )
    return ""


def where_it_lies(layer: Any) -> str:
    """Return why nuclei cannot be drawn on a layer, one sentence; "" if they can."""
    name = f"“{layer.name}”"
    turned = _turned(layer)
    if turned:
        return f"{name} is {turned}; MUSE looks at images that lie straight: reset its transform."
    height, width = (float(v) for v in layer.scale[-2:])
    if min(height, width) <= 0:
        return f"{name} is mirrored by a scale below 0; MUSE needs one above 0."
    down, across = (str(unit) for unit in layer.units[-2:])
    if down != across:
        return f"The scale of {name} is in {down} down and in {across} across; give it one unit."
    if abs(height - width) > MAX_ANISOTROPY * min(height, width):
        return (
            f"The pixels of {name} are not square, {height:g} high and {width:g} wide; MUSE needs"
            " square ones."
        )
    return ""


def _turned(layer: Any) -> str:
    n = layer.ndim
    if not np.allclose(layer.rotate, np.eye(n)):
        return "rotated"
    if np.any(layer.shear):
        return "sheared"
    return "" if np.allclose(layer.affine.affine_matrix, np.eye(n + 1)) else "moved by an affine"


def layer_mpp(layer: Any) -> tuple[float | None, str]:
    """Microns per pixel by the scale and units of a layer, or None and half a sentence why."""
    height, width = (float(v) for v in layer.scale[-2:])
    unit = own_unit(layer)
    microns = um_per_unit(unit)
    if microns is None:
        if height == width == 1.0:
            return None, ""
        return None, f"its layer has the scale {width:g}, but in the unit “{unit}”"
    return combine_mpp(width * microns, height * microns)


def can_be_colours(layer: Any) -> bool:
    """Whether a layer of grey planes may be an RGB image with its colours before y and x."""
    levels = _levels(layer)
    if type(layer).__name__ != "Image" or layer.rgb:
        return False
    return all(len(level.shape) == 3 and level.shape[0] in _COLOURS for level in levels)


def colour_layer(layer: Any) -> tuple[Any, dict[str, object]]:
    """The data and settings of an RGB layer that shows grey planes as colours; nothing is read."""
    levels = [_colours_last(level) for level in _levels(layer)]
    settings = {
        "name": f"{layer.name} RGB",
        "rgb": True,
        "multiscale": len(levels) > 1,
        "scale": tuple(layer.scale[-2:]),
        "translate": tuple(layer.translate[-2:]),
        "units": tuple(layer.units[-2:]),
    }
    return (levels if len(levels) > 1 else levels[0]), settings


def _colours_last(level: Any) -> Any:
    if isinstance(level, zarr.Array):
        level = da.from_zarr(level)
    return da.moveaxis(level, 0, -1) if isinstance(level, da.Array) else np.moveaxis(level, 0, -1)


def _levels(layer: Any) -> tuple[Any, ...]:
    return tuple(layer.data) if getattr(layer, "multiscale", False) else (layer.data,)
