"""Pixels of a region of a slide, also where a part of it cannot be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from muse_core.array_types import RgbArray
from muse_core.errors import UserError
from muse_core.files.remote import UnreachableError
from muse_core.slides.region import Region
from muse_core.slides.slide import Slide
from muse_core.slides.unreadable import Unreadable

TRY_AGAIN_AFTER_S = (0.05, 0.25)
"""Pauses before a region is tried again: a network drive mostly answers the second time."""
_PARTS = 16
"""Into how many rows and columns a region is divided at most, to find what of it can be read."""
_GIVE_UP_AT = 2
"""Side, in those parts, of the smallest pieces that are tried where none could be read so far."""
_SEARCH_S = 20.0
"""Time after which no more pieces are tried: a broken disk takes seconds for each."""
_GLASS = 255


class ReadablePixels(NamedTuple):
    """What was read of a region.

    Attributes:
        image: (H, W, 3) uint8 as of :meth:`Slide.read`, white where it could not be read; None
            where nothing could.
        unreadable: What could not be read, on the slide.
    """

    image: RgbArray | None
    unreadable: tuple[Unreadable, ...] = ()

    def require_some(self) -> RgbArray:
        """Return the image; raises UserError if nothing could be read."""
        if self.image is None:
            raise UserError(self.unreadable[0].reason)
        return self.image


def read_readable(slide: Slide, region: Region, mpp: float, half: bool = False) -> ReadablePixels:
    """Read a region like :meth:`Slide.read`; where that fails several times, piece by piece.

    Raises:
        UserError: The slide's file is gone.
        UnreachableError: All of the slide cannot be read, not just this place.
    """
    whole = _tried(lambda: slide.read(region, mpp, half), TRY_AGAIN_AFTER_S)
    if not isinstance(whole, str):
        return ReadablePixels(whole)
    if slide.is_file and isinstance(slide.location, Path) and not slide.path.exists():
        raise UserError(f"{slide.path} is not there any more; was its drive taken away?")
    return _Pieces(slide, region, mpp, half).read(whole)


class _Pieces:
    """Reads a region of a slide piece by piece."""

    def __init__(self, slide: Slide, region: Region, mpp: float, half: bool) -> None:
        self._slide = slide
        self._region = region
        self._mpp = mpp
        self._half = half
        scale = mpp / slide.require_mpp()
        self._size = max(1, round(region.h / scale)), max(1, round(region.w / scale))

    def read(self, reason: str) -> ReadablePixels:
        """Return what can be read, and the places of the rest with the reason for it."""
        image = np.full((*self._size, 3), _GLASS, dtype=np.uint8)
        if min(self._size) < _PARTS:
            place = self._region.intersect(self._slide.bounds)
            return ReadablePixels(None, () if place is None else (Unreadable(place, reason),))
        on_slide = self._on_slide()
        lost = self._fill_pieces(image, on_slide)
        parts = ndimage.find_objects(ndimage.label(lost)[0])
        boxes = (self._box_of(*part).intersect(self._slide.bounds) for part in parts)
        unreadable = tuple(Unreadable(box, reason) for box in boxes if box is not None)
        return ReadablePixels(None if (lost == on_slide).all() else image, unreadable)

    def _on_slide(self) -> npt.NDArray[np.bool_]:
        """(16, 16) which parts lie on the slide, not wholly beside it."""
        whole = slice(0, _PARTS)
        bounds = self._slide.bounds
        single = [slice(i, i + 1) for i in range(_PARTS)]
        rows = [self._box_of(i, whole).touches(bounds) for i in single]
        columns = [self._box_of(whole, i).touches(bounds) for i in single]
        return np.outer(rows, columns)

    def _fill_pieces(
        self, image: RgbArray, on_slide: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Read pieces into the image, and the quarters of those that cannot be read.

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
                if time.monotonic() < until and self._fill(image, parts):
                    lost[parts] = False
                else:
                    failed.append((row, column))
        return lost

    def _fill(self, image: RgbArray, parts: tuple[slice, slice]) -> bool:
        """Read parts into the image; False where they cannot be read."""
        piece = image[self._pixels_of(*parts)]
        box = self._box_of(*parts)
        pixels = _tried(lambda: self._slide.read(box, self._mpp, self._half))
        if isinstance(pixels, str):
            return False
        piece[:] = pixels
        return True

    def _pixels_of(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Pixels of some parts."""
        height, width = self._size
        return (
            slice(rows.start * height // _PARTS, rows.stop * height // _PARTS),
            slice(columns.start * width // _PARTS, columns.stop * width // _PARTS),
        )

    def _box_of(self, rows: slice, columns: slice) -> Region:
        """Some parts in level-0 pixels."""
        y, x = self._pixels_of(rows, columns)
        across, down = self._region.w / self._size[1], self._region.h / self._size[0]
        return Region(
            self._region.x + x.start * across,
            self._region.y + y.start * down,
            (x.stop - x.start) * across,
            (y.stop - y.start) * down,
        )


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
