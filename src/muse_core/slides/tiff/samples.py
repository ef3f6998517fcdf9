"""Samples of a TIFF page: number, type and colours, by its tags."""

from __future__ import annotations

from typing import Any

import numpy as np
import tifffile

from muse_core.array_types import RgbArray
from muse_core.errors import UserError
from muse_core.slides.pixels import Alpha, Colours, Samples

_PHOTOMETRIC = tifffile.PHOTOMETRIC
_COLOURS = {
    _PHOTOMETRIC.RGB: Colours.RGB,
    _PHOTOMETRIC.YCBCR: Colours.RGB,  # decoders convert it
    _PHOTOMETRIC.MINISBLACK: Colours.GRAY,
    _PHOTOMETRIC.MINISWHITE: Colours.INVERTED_GRAY,
    _PHOTOMETRIC.PALETTE: Colours.PALETTE,
    _PHOTOMETRIC.SEPARATED: Colours.CMYK,
}
_N_COLOURS = {Colours.RGB: 3, Colours.YCBCR: 3, Colours.CMYK: 4}
_ALPHA = {0: Alpha.UNSPECIFIED, 1: Alpha.ASSOCIATED, 2: Alpha.UNASSOCIATED}
_COMPRESSION = tifffile.COMPRESSION
_OF_BYTES = frozenset(
    {
        _COMPRESSION.NONE,
        _COMPRESSION.LZW,
        _COMPRESSION.ADOBE_DEFLATE,
        _COMPRESSION.DEFLATE,
        _COMPRESSION.PACKBITS,
        _COMPRESSION.LZMA,
        _COMPRESSION.ZSTD,
    }
)
"""Compressions that know no colours, unlike JPEG and its like."""
_TYPES = ("u1", "u2", "f2", "f4", "f8")
_BITS = (4, 8, 10, 12, 14, 16, 32, 64)
_WORD = 257
"""A colour map has 16 bits; 8-bit values stand in it twice, high and low."""


def tag_name(value: object, otherwise: str) -> str:
    """Say a tag's value in a sentence; in a damaged file it may be many numbers."""
    name = getattr(value, "name", None)
    return str(name or (value if isinstance(value, int) else otherwise))


def tiff_samples(page: Any, name: str) -> Samples:
    """Return the conversion of a page's samples to RGB.

    Args:
        page: Of tifffile.
        name: File name, for messages.

    Raises:
        UserError: They are no RGB, gray, CMYK or indexed colours, or of a type that no scanner
            writes.
    """
    bits = page.bitspersample
    if page.dtype is None or page.dtype.str[1:] not in _TYPES or bits not in _BITS:
        # Samples of several widths are a tuple, as long as a damaged file says.
        width = f"{bits}-bit pixels" if isinstance(bits, int) else "samples of several widths"
        raise UserError(
            f"{name} has {width} of type {page.dtype}; only unsigned ones of 8 and 16 bits and"
            " floating point can be read."
        )
    colours = _COLOURS.get(page.photometric)
    if page.photometric == _PHOTOMETRIC.YCBCR and page.compression in _OF_BYTES:
        colours = Colours.YCBCR
    if colours is None or (colours is Colours.CMYK and page.dtype != np.uint8):
        kind = tag_name(page.photometric, "unknown")
        raise UserError(f"{name} has {kind} colours; only RGB, gray and CMYK can be read.")
    count = int(page.samplesperpixel)
    if colours is Colours.GRAY and count > 2:
        colours = Colours.RGB  # some programs call all that is not inverted so
    extra = tuple(int(e) for e in page.extrasamples)
    further = count - _N_COLOURS.get(colours, 1)
    alpha = Alpha.NONE if further == 0 else _ALPHA.get(extra[-1] if extra else 0, Alpha.UNSPECIFIED)
    gray_pair = further and colours not in _N_COLOURS and alpha is Alpha.UNSPECIFIED
    if further not in (0, 1) or gray_pair:
        raise UserError(f"{name} has {count} channels; only RGB and gray images can be read.")
    if colours is Colours.PALETTE:
        return Samples(colours, alpha, palette=_palette(page, name))
    highest = float((1 << bits) - 1) if page.dtype.kind == "u" else 1.0
    open_question = page.dtype.itemsize > 1 and bits in (16, 32, 64)
    return Samples(colours, alpha, highest, highest, needs_scaling=open_question)


def _palette(page: Any, name: str) -> RgbArray:
    """(n, 3) uint8; some programs write 8-bit values where 16-bit ones belong."""
    colormap = page.colormap
    if colormap is None or colormap.ndim != 2 or len(colormap) != 3 or not colormap.size:
        raise UserError(f"{name} is damaged: it has indexed colours without their table.")
    table = colormap.T
    if table.max() > np.iinfo(np.uint8).max:
        table = np.rint(table / _WORD)
    return np.ascontiguousarray(table.astype(np.uint8))
