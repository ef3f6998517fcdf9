"""Coarser levels for images that have none, made once from the finest and kept in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from io import RawIOBase
from pathlib import Path

import numpy as np
from PIL import Image

from muse_core.array_types import RgbArray
from muse_core.slides.level import Level, PieceCache

FACTOR = 4
"""Between one level and the next."""
_COARSEST_PX = 1024
_PIECE_PX = 512
_BAND_PX = 512
_BLOCK_PX = 1 << 22
_CACHE_BYTES = 64 << 20
_NOT_YET = 232
"""Grey value of pixels that are not computed yet."""


def overview_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Rows and columns of the levels below an image, down to one that any screen can show."""
    sizes = []
    while max(height, width) > _COARSEST_PX:
        height, width = -(-height // FACTOR), -(-width // FACTOR)
        sizes.append((height, width))
    return sizes


class OverviewLevel(Level):
    """A level in a file of rows of RGB pixels, which may still grow; grey below its last row.

    Where the file cannot be read, pixels of the level it is made from are left out instead.
    """

    def __init__(self, base: Level, path: Path, height: int, width: int, factor: int) -> None:
        """Describe it.

        Args:
            base: The level that all of an overview are made from.
            path: The file.
            height: Rows.
            width: Columns.
            factor: Pixels of the base per pixel.
        """
        super().__init__(base.name, (height, width), (_PIECE_PX, _PIECE_PX))
        self.path = path
        self._base, self._factor = base, factor
        self._pieces = PieceCache(_CACHE_BYTES)
        self.share_cache(self._pieces, 0)
        self._rows = 0
        self._given_up = False

    @property
    def rows(self) -> int:
        """Number of rows of the file."""
        return self._rows

    def grow_to(self, rows: int) -> None:
        """Set the number of rows that the file has now."""
        self._rows = rows

    def give_up(self) -> None:
        """Mark the file as one that will not be completed."""
        self._given_up = True

    def _piece(self, row: int, col: int) -> RgbArray:
        # Pieces that are still grey will change: only whole pieces are cached.
        bottom = min((row + 1) * self.piece_h, self.height)
        return super()._piece(row, col) if self._rows >= bottom else self._decode(row, col)

    def _decode(self, row: int, col: int) -> RgbArray:
        y, x = row * self.piece_h, col * self.piece_w
        height = min(self.piece_h, self.height - y)
        width = min(self.piece_w, self.width - x)
        if self._given_up:
            return self._skipped(y, x, height, width)
        piece = np.full((height, width, 3), _NOT_YET, np.uint8)
        ready = min(max(self._rows - y, 0), height)
        if ready and not self._read_rows(y, x, piece[:ready]):
            # Another window has made room for its own.
            return self._skipped(y, x, height, width)
        return piece

    def _read_rows(self, y: int, x: int, into: RgbArray) -> bool:
        """Read a rectangle from the file; returns whether it is there.

        The file is not mapped: touching a map of one that was cut short would kill the process.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                for i, row in enumerate(into):
                    file.seek(((y + i) * self.width + x) * 3)
                    if file.readinto(row.data) != row.nbytes:
                        return False
        except OSError:
            return False
        return True

    def _skipped(self, y: int, x: int, height: int, width: int) -> RgbArray:
        """A piece, from one pixel in many of the base."""
        f = self._factor
        bottom, right = min((y + height) * f, self._base.height), (x + width) * f
        pixels = self._base.read(x * f, y * f, min(right, self._base.width), bottom)
        return pixels[::f, ::f]


def make_overview(
    base: Level, levels: Sequence[OverviewLevel], should_stop: Callable[[], bool]
) -> bool:
    """Fill the files of levels from the one above them, reading each pixel of it once.

    Args:
        base: The level to start from.
        levels: Of the sizes that :func:`overview_sizes` gives, finest first; they grow together.
        should_stop: Asked before each band.

    Returns:
        Whether all is made.

    Raises:
        OSError: A file cannot be written.
        UserError: The image is damaged.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(level.path.open("wb", buffering=0)) for level in levels]
        chain = [_Step(file, level) for file, level in zip(files, levels, strict=True)]
        band_h = _band_height(base)
        for top in range(0, base.height, band_h):
            if should_stop():
                return False
            bottom = min(top + band_h, base.height)
            rows = _reduced_band(base, top, bottom)
            for step in chain:
                rows = step.take(rows, is_last=bottom == base.height)
    return True


class _Step:
    """One level being made: writes its rows, and reduces them for the next."""

    def __init__(self, file: RawIOBase, level: OverviewLevel) -> None:
        self._file, self._level = file, level
        self._waiting: RgbArray = np.empty((0, level.width, 3), np.uint8)

    def take(self, rows: RgbArray, is_last: bool) -> RgbArray:
        """Take the next rows; returns those of the next level that they complete."""
        _write_all(self._file, rows)
        self._level.grow_to(self._level.rows + len(rows))
        self._waiting = np.concatenate([self._waiting, rows])
        n = len(self._waiting)
        usable = n if is_last else n // FACTOR * FACTOR
        ready, self._waiting = self._waiting[:usable], self._waiting[usable:]
        return _reduced(ready) if usable else ready[:0, ::FACTOR]


def _write_all(file: RawIOBase, rows: RgbArray) -> None:
    """Write all rows, unbuffered, so that the file has them when its level is told so."""
    left = memoryview(rows.tobytes())
    while left:
        left = left[file.write(left) or 0 :]


def _band_height(base: Level) -> int:
    """Rows to reduce at a time: whole pieces where they are high, as decoding twice costs most."""
    band = max(_BAND_PX, base.piece_h)
    return -(-band // FACTOR) * FACTOR


def _reduced_band(base: Level, top: int, bottom: int) -> RgbArray:
    """A band of the base, reduced in blocks of a few megapixels."""
    # Where a piece is as wide as the image, blocks of it would decode it again and again.
    block_w = max(_BLOCK_PX // (bottom - top), base.piece_w)
    block_w = -(-block_w // FACTOR) * FACTOR
    blocks = [
        _reduced(base.read(left, top, min(left + block_w, base.width), bottom))
        for left in range(0, base.width, block_w)
    ]
    return np.concatenate(blocks, axis=1)


def _reduced(pixels: RgbArray) -> RgbArray:
    """Means of squares of pixels; at the right and bottom edge, of the part inside the image."""
    return np.asarray(Image.fromarray(pixels).reduce(FACTOR))
