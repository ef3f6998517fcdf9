"""Arrays that are in memory or lazy already, as a Slide: numpy, dask, zarr, and what indexes so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.slides.level import Level
from muse_core.slides.pixels import Alpha, Colours, Samples
from muse_core.slides.sampled_level import SampledLevel, settle_intensity
from muse_core.slides.slide import Slide, SlideSource, pyramid

_PIECE_PX = 1024
_SAMPLES = {
    1: Samples(Colours.GRAY),
    3: Samples(Colours.RGB),
    4: Samples(Colours.RGB, Alpha.UNASSOCIATED),
}
_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


class ArraysLevel(SampledLevel):
    """One array (y, x), (y, x, c) or (c, y, x), read piece by piece."""

    def __init__(self, name: str, array: Any, channels_first: bool, samples: Samples) -> None:
        height, width = array.shape[1:] if channels_first else array.shape[:2]
        super().__init__(name, height, width, _PIECE_PX, _PIECE_PX, samples, array.dtype)
        self._array, self._channels_first = array, channels_first

    def _stored(self, row: int, col: int) -> npt.NDArray[Any]:
        y, x = row * self.piece_h, col * self.piece_w
        place = (
            slice(y, min(y + self.piece_h, self.height)),
            slice(x, min(x + self.piece_w, self.width)),
        )
        if self._channels_first:
            return np.moveaxis(np.asarray(self._array[(slice(None), *place)]), 0, -1)
        piece = np.asarray(self._array[place])
        return piece[:, :, None] if piece.ndim == 2 else piece


def slide_from_arrays(levels: Any, mpp: float | None = None, name: str = "array") -> Slide:
    """Return a slide over an array or a pyramid of arrays; nothing is copied.

    Args:
        levels: An array (y, x), (y, x, 3 or 4) or (3 or 4, y, x), uint8 or uint16, of numpy, dask
            or zarr; or a list of them, one for each level. The fourth channel is alpha.
        mpp: Microns per pixel of the largest array, or None while it is unknown.
        name: What messages call it.

    Raises:
        UserError: An array has another shape or type, or mpp is impossible.

    Example:
        >>> import numpy as np
        >>> slide = slide_from_arrays(np.full((300, 400, 3), 255, np.uint8), mpp=0.5)
        >>> slide.width, slide.height, slide.mpp
        (400, 300, 0.5)
    """
    arrays = list(levels) if isinstance(levels, list | tuple) else [levels]
    if not arrays:
        raise UserError(f"{name} has no levels.")
    found = [_level(array, name) for array in arrays]
    kept, downsamples = pyramid(found)
    notes = settle_intensity(kept)
    source = SlideSource(Path(name), "array", kept, downsamples, notes=notes)
    return Slide(source, mpp)


def _level(array: Any, name: str) -> Level:
    shape, dtype = _shape(array), np.dtype(getattr(array, "dtype", object))
    if dtype not in _TYPES:
        raise UserError(f"{name} holds {dtype} values; images of uint8 or uint16 can be read.")
    channels_first = len(shape) == 3 and shape[2] not in (1, 3, 4) and shape[0] in (1, 3, 4)
    channels = _channels(shape, channels_first)
    if channels not in _SAMPLES:
        raise UserError(
            f"{name} has the shape {shape}; RGB images are (y, x, 3) or (3, y, x), with alpha 4."
        )
    samples = _SAMPLES[channels]
    if dtype == np.uint16:
        samples = Samples(samples.colours, samples.alpha, needs_scaling=True)
    return ArraysLevel(name, array, channels_first, samples)


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in getattr(array, "shape", ()))


def _channels(shape: Sequence[int], channels_first: bool) -> int:
    if len(shape) == 2:
        return 1
    if len(shape) != 3:
        return 0
    return shape[0] if channels_first else shape[2]
