"""TileReader: the pixels of tiles, also of those of which a part cannot be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from muse_core.array_types import RgbArray
from muse_core.detect.plan import Tile, TilePlan
from muse_core.detect.unreadable import Unreadable
from muse_core.errors import UserError
from muse_core.files.remote import UnreachableError
from muse_core.slides import Region, Slide

TRY_TILE_AGAIN_AFTER_S = (0.05, 0.25)
"""Pauses before a tile is tried again: a network drive mostly answers the second time."""
_PARTS = 16
"""Into how many rows and columns a tile is divided at most, to find what of it can be read."""
_GIVE_UP_AT = 2
"""Side, in those parts, of the smallest pieces that are tried where none could be read so far."""
_SEARCH_S = 20.0
"""Time after which no more pieces are tried: a broken disk takes seconds for each."""
_GLASS = 255


class TilePixels(NamedTuple):
    """What was read of a tile.

    Attributes:
        image: (H, W, 3) uint8 at the model's scale, white where it could not be read; None where
            nothing could.
        unreadable: What could not be read, in the slide, with the halo.
    """

    image: RgbArray | None
    unreadable: tuple[Unreadable, ...] = ()


class TileReader:
    """Reads tiles of a slide; may be called from several threads at once."""

    def __init__(self, slide: Slide, plan: TilePlan, half_jpeg: bool) -> None:
        self._slide = slide
        self._plan = plan
        self._mpp = plan.scale * slide.require_mpp()
        self._half_jpeg = half_jpeg
        self._file: Path | None = slide.path if slide.path.exists() else None

    def read(self, tile: Tile) -> TilePixels:
        """Return the pixels of a tile; where it cannot be read as a whole, piece by piece.

        Raises:
            UserError: The slide's file is gone.
            UnreachableError: All of the slide cannot be read, not just this place.
        """
        region, size = self._plan.read_region(tile), self._plan.read_size(tile)
        whole = _tried(lambda: self._piece(region, size), TRY_TILE_AGAIN_AFTER_S)
        if not isinstance(whole, str):
            return TilePixels(whole)
        if self._file is not None and not self._file.exists():
            raise UserError(f"{self._file} is not there any more; was its drive taken away?")
        image = np.full((*size, 3), _GLASS, dtype=np.uint8)
        on_slide = self._on_slide(region, size)
        lost = self._fill_pieces(image, region, on_slide)
        parts = ndimage.find_objects(ndimage.label(lost)[0])
        boxes = (_box_of(region, size, *part).intersect(self._slide.bounds) for part in parts)
        unreadable = tuple(Unreadable(box, whole) for box in boxes if box is not None)
        return TilePixels(None if (lost == on_slide).all() else image, unreadable)

    def _on_slide(self, region: Region, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """(16, 16) which parts of an image of a region lie on the slide, not wholly beside it."""
        whole = slice(0, _PARTS)
        one_by_one = [slice(i, i + 1) for i in range(_PARTS)]
        rows = [self._slide.bounds.touches(_box_of(region, size, i, whole)) for i in one_by_one]
        columns = [self._slide.bounds.touches(_box_of(region, size, whole, i)) for i in one_by_one]
        return np.outer(rows, columns)

    def _fill_pieces(
        self, image: RgbArray, region: Region, on_slide: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Read pieces of a region into an image of it; of those that cannot be read, the quarters.

        Returns:
            (16, 16) which of the parts on the slide could not be read.
        """
        lost = on_slide.copy()
        until = time.monotonic() + _SEARCH_S
        failed = [(0, 0)]
        side = _PARTS
        # Of what lies behind the end of a file nothing can be read; it is not searched through.
        while side > 1 and failed and not (side <= _GIVE_UP_AT and (lost == on_slide).all()):
            side //= 2
            starts = [(r + y, c + x) for r, c in failed for y in (0, side) for x in (0, side)]
            failed = []
            for row, column in starts:
                parts = slice(row, row + side), slice(column, column + side)
                if time.monotonic() < until and self._fill(image, region, parts):
                    lost[parts] = False
                else:
                    failed.append((row, column))
        return lost

    def _fill(self, image: RgbArray, region: Region, parts: tuple[slice, slice]) -> bool:
        """Read parts of an image of a region into it; False where they cannot be read."""
        size = (image.shape[0], image.shape[1])
        piece = image[_pixels_of(size, *parts)]
        box = _box_of(region, size, *parts)
        pixels = _tried(lambda: self._piece(box, (piece.shape[0], piece.shape[1])))
        if isinstance(pixels, str):
            return False
        piece[:] = pixels
        return True

    def _piece(self, region: Region, size: tuple[int, int]) -> RgbArray:
        pixels = self._slide.read(region, self._mpp, self._half_jpeg)
        if pixels.shape != (*size, 3):
            raise RuntimeError(f"read a tile of shape {pixels.shape}")
        return pixels


def _tried(read: Callable[[], RgbArray], again_after_s: tuple[float, ...] = ()) -> RgbArray | str:
    """Return what reading gives, or the reason why it cannot after several tries."""
    for pause_s in (*again_after_s, None):
        try:
            return read()
        except UnreachableError:
            raise
        except (UserError, OSError) as error:
            reason = str(error)
        if pause_s is not None:
            time.sleep(pause_s)
    return reason


def _pixels_of(size: tuple[int, int], rows: slice, columns: slice) -> tuple[slice, slice]:
    """Pixels of some parts, in an image of a size (height, width)."""
    height, width = size
    return (
        slice(rows.start * height // _PARTS, rows.stop * height // _PARTS),
        slice(columns.start * width // _PARTS, columns.stop * width // _PARTS),
    )


def _box_of(region: Region, size: tuple[int, int], rows: slice, columns: slice) -> Region:
    """The same parts in level-0 pixels, of an image that lies at a region."""
    y, x = _pixels_of(size, rows, columns)
    across, down = region.w / size[1], region.h / size[0]
    return Region(
        region.x + x.start * across,
        region.y + y.start * down,
        (x.stop - x.start) * across,
        (y.stop - y.start) * down,
    )
