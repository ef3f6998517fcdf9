"""Convert samples as files store them to 8-bit RGB on white."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from muse_core.array_types import RgbArray

_FULL = 255
_RANGES = (255, 1023, 4095, 16383, 65535)
"""Highest values that cameras and programs fill: those of 8, 10, 12, 14 and 16 bits."""


class Colours(Enum):
    """Meaning of the first samples of a pixel."""

    GRAY = auto()
    INVERTED_GRAY = auto()
    RGB = auto()
    YCBCR = auto()
    CMYK = auto()
    PALETTE = auto()


class Alpha(Enum):
    """Meaning of the sample after the colours.

    In TIFF, "associated" means that colours are multiplied by alpha. An unspecified sample may be
    alpha, padding or another channel, which is decided from the pixels.
    """

    NONE = auto()
    ASSOCIATED = auto()
    UNASSOCIATED = auto()
    UNSPECIFIED = auto()


@dataclass(frozen=True, eq=False)
class Samples:
    """Conversion of a pixel's samples to 8-bit RGB; transparent pixels become white, like glass.

    Attributes:
        colours: What the first samples are.
        alpha: What follows them.
        highest: Value of full intensity.
        highest_alpha: Value of an opaque pixel.
        palette: (n, 3) uint8 for indexed colours.
        needs_scaling: Whether the two values must still be derived from the pixels.
    """

    colours: Colours
    alpha: Alpha = Alpha.NONE
    highest: float = _FULL
    highest_alpha: float = _FULL
    palette: RgbArray | None = None
    needs_scaling: bool = False

    def colours_of(self, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The samples that are colours, of (y, x, samples)."""
        return raw[:, :, : _COUNTS[self.colours]]

    def alpha_of(self, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The samples that say how opaque a pixel is, of (y, x, samples), where there are any."""
        count = _COUNTS[self.colours]
        return raw[:, :, count : count + 1]

    def to_rgb(self, raw: npt.NDArray[Any]) -> RgbArray:
        """Convert (y, x, samples) of any real type to (y, x, 3) uint8."""
        rgb = self._rgb(self.colours_of(raw))
        if self.alpha is Alpha.NONE:
            return rgb
        alpha = to_8_bit(self.alpha_of(raw), self.highest_alpha)
        return on_white(rgb, alpha, self.alpha is Alpha.ASSOCIATED)

    def _rgb(self, colours: npt.NDArray[Any]) -> RgbArray:
        if self.colours is Colours.PALETTE:
            assert self.palette is not None
            result: RgbArray = self.palette[np.minimum(colours[:, :, 0], len(self.palette) - 1)]
            return result
        values = to_8_bit(colours, self.highest)
        if self.colours is Colours.RGB:
            return values
        if self.colours is Colours.YCBCR:
            return rgb_from_ycbcr(values)
        if self.colours is Colours.CMYK:
            ink = _FULL - values.astype(np.uint16)
            return ((ink[:, :, :3] * ink[:, :, 3:] + _FULL // 2) // _FULL).astype(np.uint8)
        if self.colours is Colours.INVERTED_GRAY:
            values = _FULL - values
        return np.repeat(values, 3, axis=2)


_COUNTS = {
    Colours.GRAY: 1,
    Colours.INVERTED_GRAY: 1,
    Colours.RGB: 3,
    Colours.YCBCR: 3,
    Colours.CMYK: 4,
    Colours.PALETTE: 1,
}


def to_8_bit(values: npt.NDArray[Any], highest: float) -> RgbArray:
    """Scale 0 to ``highest`` to 0 to 255; what lies beyond is cut off, what is no number is 255."""
    if values.dtype == np.uint8 and highest == _FULL:
        return values
    scaled = values.astype(np.float32) * np.float32(_FULL / highest)
    scaled = np.nan_to_num(scaled, nan=_FULL, posinf=_FULL, neginf=0)
    result: RgbArray = np.clip(np.rint(scaled), 0, _FULL).astype(np.uint8)
    return result


def rgb_from_ycbcr(pixels: RgbArray) -> RgbArray:
    """Convert (y, x, 3) uint8 by the formulas of JPEG (full range, ITU-R BT.601)."""
    height, width = pixels.shape[:2]
    image = Image.frombytes("YCbCr", (width, height), pixels.tobytes())
    return np.asarray(image.convert("RGB"))


def on_white(rgb: RgbArray, alpha: RgbArray, associated: bool = False) -> RgbArray:
    """Lay colours on white.

    Args:
        rgb: (y, x, 3) uint8.
        alpha: (y, x, 1) uint8.
        associated: Whether the colours are multiplied by alpha already.
    """
    if alpha.min(initial=_FULL) == _FULL:
        return rgb
    glass = _FULL - alpha
    if associated:
        result: RgbArray = np.minimum(rgb.astype(np.uint16) + glass, _FULL).astype(np.uint8)
        return result
    mixed = rgb.astype(np.uint16) * alpha + np.uint16(_FULL) * glass
    return ((mixed + _FULL // 2) // _FULL).astype(np.uint8)


def full_intensity(highest_seen: float, real: bool) -> float:
    """The value of full intensity in pixels of more than 8 bits, by the highest of them.

    Cameras of 12 bits fill the lower part of 16, and white glass reaches near the top of it.

    Args:
        highest_seen: The highest value.
        real: Whether the values are floating point, which may be shares of 1.
    """
    ranges = (1, *_RANGES) if real else _RANGES
    return next((float(top) for top in ranges if highest_seen <= top), highest_seen)
