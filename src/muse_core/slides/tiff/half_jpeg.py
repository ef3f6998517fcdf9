"""JPEG tiles decoded at half size: the inverse transform of a block makes 4 x 4 pixels of 8 x 8.

That is faster than decoding all pixels and then averaging them. libjpeg-turbo does it, through
simplejpeg. TIFF states in its tags whether a tile is RGB, where libjpeg does not look; so an Adobe
marker that states it is inserted into the tile first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from muse_core.array_types import RgbArray
from muse_core.slides.level import Level

if TYPE_CHECKING:
    from muse_core.slides.tiff.level import TiffLevel

_BLOCK_PX = 16
"""With sides that are multiples of this, halved tiles with subsampled chroma have whole pixels."""
_START, _SCAN = b"\xff\xd8", 0xDA
_JFIF, _ADOBE = 0xE0, 0xEE


@dataclass(frozen=True)
class JpegTiles:
    """Layout of the JPEG tiles of a page, in colours of 8 bits.

    Attributes:
        height: Rows of a tile.
        width: Columns of a tile.
        is_rgb: Whether they hold RGB whatever they say themselves.
        tables: JPEGTables of TIFF, or nothing.
    """

    height: int
    width: int
    is_rgb: bool
    tables: bytes

    @property
    def can_be_halved(self) -> bool:
        """Whether halves of tiles end where the tiles do."""
        return not (self.height % _BLOCK_PX or self.width % _BLOCK_PX)


class HalfLevel(Level):
    """A level of JPEG tiles decoded at half size.

    A tile that cannot be decoded so is decoded whole and averaged.
    """

    def __init__(self, whole: TiffLevel, tiles: JpegTiles) -> None:
        height, width = (whole.height + 1) // 2, (whole.width + 1) // 2
        super().__init__(whole.name, (height, width), (tiles.height // 2, tiles.width // 2))
        self._whole, self._tiles = whole, tiles

    def _fetch(self, pieces: Iterable[tuple[int, int]]) -> None:
        self._whole.fetch(pieces)

    def _decode(self, row: int, col: int) -> RgbArray:
        data = self._whole.stored(row, col)
        if data:
            try:
                return self._half(data)
            except (ValueError, IndexError, struct.error):
                # Arithmetic coding, damage: what the other decoder says of it counts.
                pass
        return _averaged(self._whole.decode(row, col))

    def _half(self, data: bytes) -> RgbArray:
        jpeg = joined_jpeg(data, self._tiles.tables, self._tiles.is_rgb)
        wanted = self._tiles.height // 2, self._tiles.width // 2
        if simplejpeg.decode_jpeg_header(jpeg)[:2] != (self._tiles.height, self._tiles.width):
            raise ValueError("a tile of another size")
        half = simplejpeg.decode_jpeg(
            jpeg, "RGB", min_height=wanted[0], min_width=wanted[1], min_factor=2
        )
        if half.shape != (*wanted, 3):
            raise ValueError("a tile that is not halved")
        return np.asarray(half)


def joined_jpeg(data: bytes, tables: bytes, is_rgb: bool) -> bytes:
    """A whole JPEG file of an abbreviated one, its tables and the meaning of its colours.

    Args:
        data: A tile as TIFF stores it.
        tables: JPEGTables of TIFF, or nothing.
        is_rgb: Whether it holds RGB whatever it says; else it is taken at its word.

    Raises:
        ValueError, IndexError, struct.error: These are no JPEG data.
    """
    meaning = b"\xff\xee\x00\x0eAdobe\x00\x64" + bytes(5) if is_rgb else b""
    return b"".join((_START, meaning, _segments(tables, is_rgb), _segments(data, is_rgb)))


def _segments(data: bytes, colourless: bool) -> bytes:
    """Return the segments behind the start marker of a JPEG; from the first scan on all are kept.

    Args:
        data: The JPEG, or one that has tables only.
        colourless: Whether markers that tell its colours are left out.
    """
    if not data:
        return b""
    if data[:2] != _START:
        raise ValueError("no JPEG")
    kept = []
    at = 2
    while at < len(data):
        if data[at] != 0xFF:
            raise ValueError("no marker where one should be")
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
            continue
        if marker == 0xD9:  # the end, of tables
            break
        if marker == _SCAN:
            kept.append(data[at:])
            break
        (length,) = struct.unpack_from(">H", data, at + 2)
        if not (colourless and marker in (_JFIF, _ADOBE)):
            kept.append(data[at : at + 2 + length])
        at += 2 + length
    return b"".join(kept)


def _averaged(pixels: RgbArray) -> RgbArray:
    """Means of 2 x 2 pixels; the last of an odd number stands for two."""
    height, width = pixels.shape[:2]
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    total = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).sum(axis=(1, 3))
    result: RgbArray = ((total + 2) // 4).astype(np.uint8)
    return result
