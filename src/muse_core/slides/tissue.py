"""Tissue masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import disk, remove_small_holes, remove_small_objects

from muse_core.array_types import RgbArray
from muse_core.errors import UserError
from muse_core.files.remote import UnreachableError
from muse_core.slides.region import Region
from muse_core.slides.slide import Slide

_MIN_SIDE_PX = 64
"""Least rows of a mask; small images get a finer one."""
_SMOOTH_UM = 8.0
_MIN_CHROMA, _MAX_CHROMA = 8.0, 14.0
"""Limits of the threshold in grey levels. Noise and JPEG blocks on glass stay below the first; most
of any tissue is above the second, also where Otsu's threshold would separate pink from purple."""
_NO_GLASS_CHROMA = 5.0
"""Threshold in images without any glass, where even the palest stroma is tissue."""
_GLASS_MIN, _GLASS_MAX_CHROMA, _GLASS_MAX_STD = 200.0, 16.0, 1.5
"""Glass is bright, nearly grey and flat; pale tissue is never flat."""
_GLASS_MIN_SHARE = 0.005
_INK_MARGIN = 18.0
_INK_RIM_UM = 24.0
_MIN_OBJECT_UM2 = 800.0
_MAX_HOLE_UM2 = 20_000.0
_GROW_UM = 16.0
_ROUNDING = 1e-9
_BLOCK_PX = 32
"""Side of the pieces in which the thumbnail of a damaged slide is read."""


class HoldsPoints(Protocol):
    """Any shape that can tell which points (N,), level-0 pixels, lie in it."""

    def contains(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """(N,) which lie inside."""


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Tissue on a coarse grid over the slide.

    Attributes:
        mask: Tissue or not, (y, x) bool; its top-left corner is the slide's.
        px_per_level0: Mask pixels per level-0 pixel, below 1.
    """

    mask: npt.NDArray[np.bool_]
    px_per_level0: float

    def fraction(self, region: Region) -> float:
        """Share of a rectangle that is tissue, 0 to 1; what lies beyond the slide is none."""
        return self._area_px(region) / region.area_px

    def fractions(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Share of each cell of a grid that is tissue, as :meth:`fraction` of its rectangle.

        Args:
            x: (columns + 1,) edges in level-0 pixels, ascending.
            y: (rows + 1,) edges in level-0 pixels, ascending.

        Returns:
            (rows, columns), 0 to 1.
        """
        found = self.mask.astype(np.float64)
        for axis, edges in ((0, y), (1, x)):
            # The sum before each edge: whole mask pixels, and a part of the one it goes through.
            summed = np.insert(found.cumsum(axis=axis), 0, 0.0, axis=axis)
            at = (edges * self.px_per_level0).clip(0, found.shape[axis])
            whole = np.minimum(np.floor(at).astype(np.int64), found.shape[axis] - 1)
            part = np.expand_dims(at - whole, 1 - axis)
            before = np.take(summed, whole, axis) + part * np.take(found, whole, axis)
            found = np.diff(before, axis=axis)
        area = np.diff(y)[:, None] * np.diff(x)[None, :] * self.px_per_level0**2
        share = found / area
        return np.where(share > _ROUNDING, share, 0.0)

    def contains(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """Return which points are on tissue.

        Args:
            x: (N,) level-0 pixels.
            y: (N,) level-0 pixels.

        Returns:
            (N,) bool; more than half a mask pixel beyond the mask it is False.
        """
        height, width = self.mask.shape
        rows, on_rows = _cells(y * self.px_per_level0, height)
        columns, on_columns = _cells(x * self.px_per_level0, width)
        inside = on_rows & on_columns
        found = np.zeros(len(rows), dtype=bool)
        found[inside] = self.mask[rows[inside], columns[inside]]
        return found

    def area_mm2(self, mpp: float, within: Region | HoldsPoints | None = None) -> float:
        """Area of tissue in square millimetres.

        Args:
            mpp: Microns per level-0 pixel.
            within: Count only what lies in here; None counts the whole slide. Mask pixels count in
                part at the edges of a rectangle, and by their centres in all other shapes.
        """
        if within is None:
            area_px: float = np.count_nonzero(self.mask) / self.px_per_level0**2
        elif isinstance(within, Region):
            area_px = self._area_px(within)
        else:
            centres = (np.argwhere(self.mask).astype(np.float64) + 0.5) / self.px_per_level0
            inside = within.contains(centres[:, 1], centres[:, 0])
            area_px = np.count_nonzero(inside) / self.px_per_level0**2
        return float(area_px) * mpp**2 / 1e6

    def _area_px(self, region: Region) -> float:
        """Tissue in a rectangle in level-0 pixels; mask pixels at its edges count in part."""
        s = self.px_per_level0
        y0, wy = _overlaps(region.y * s, region.y1 * s, self.mask.shape[0])
        x0, wx = _overlaps(region.x * s, region.x1 * s, self.mask.shape[1])
        part = self.mask[y0 : y0 + len(wy), x0 : x0 + len(wx)]
        return float(wy @ part @ wx) / s**2


def _cells(
    v: npt.NDArray[np.float64], size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Index along one side of the mask for each position in mask pixels, and which lie on it.

    The mask has the slide's size rounded to whole pixels, so the slide may end up to half a pixel
    beyond it; what lies there belongs to the last pixel.
    """
    on_mask = (v >= 0) & (v < size + 0.5)
    return np.minimum(np.floor(v), size - 1).astype(np.int64), on_mask


def _overlaps(start: float, stop: float, size: int) -> tuple[int, npt.NDArray[np.float64]]:
    """First pixel that an interval covers, and the share covered of it and those that follow."""
    start, stop = min(max(start, 0.0), float(size)), min(max(stop, 0.0), float(size))
    first, last = int(np.floor(start)), int(np.ceil(stop))
    edges = np.arange(first, max(first, last) + 1, dtype=np.float64)
    return first, np.clip(np.diff(np.clip(edges, start, stop)), 0.0, 1.0)


def tissue_mask(slide: Slide, mask_mpp: float = 8.0) -> TissueMask:
    """Find tissue by its colour on a thumbnail.

    H&E tissue is pink to purple, while glass, black scan borders, dust and pencil are grey: the
    measure is the difference between the largest and smallest colour channel after the tint of the
    glass is removed. The threshold is Otsu's, within limits, so that bare glass gives an empty mask
    and an image full of tissue a full one. Green, blue and cyan ink is excluded.

    Args:
        slide: With known microns per pixel.
        mask_mpp: Microns per pixel of the mask; made finer for images of few pixels.

    Returns:
        The mask. Places that cannot be read count as tissue, so that whoever reads tissue notices.

    Raises:
        UserError: The slide's scale is unknown, or nothing of it can be read.
    """
    mpp = slide.require_mpp()
    mask_mpp = max(mpp, min(mask_mpp, min(slide.width, slide.height) * mpp / _MIN_SIDE_PX))
    thumbnail, unread = _thumbnail(slide, mask_mpp)
    return TissueMask(tissue_in_thumbnail(thumbnail, mask_mpp) | unread, mpp / mask_mpp)


def _thumbnail(slide: Slide, mpp: float) -> tuple[RgbArray, npt.NDArray[np.bool_]]:
    """Read all of a slide, or if it is damaged what can be read of it.

    Returns:
        (y, x, 3) uint8, white where it cannot be read, and (y, x) bool where that is.
    """
    try:
        whole = slide.read(slide.bounds, mpp, half=True)
        return whole, np.zeros(whole.shape[:2], bool)
    except UnreachableError:
        raise
    except UserError as error:
        rgb, unread = _in_blocks(slide, mpp)
        if unread.all():
            raise error from None
        return rgb, unread


def _in_blocks(slide: Slide, mpp: float) -> tuple[RgbArray, npt.NDArray[np.bool_]]:
    step = mpp / slide.require_mpp()
    height, width = (max(1, round(side / step)) for side in (slide.height, slide.width))
    rgb = np.full((height, width, 3), 255, np.uint8)
    unread = np.zeros((height, width), bool)
    for top in range(0, height, _BLOCK_PX):
        for left in range(0, width, _BLOCK_PX):
            rows, columns = min(_BLOCK_PX, height - top), min(_BLOCK_PX, width - left)
            block = slice(top, top + rows), slice(left, left + columns)
            place = Region(left * step, top * step, columns * step, rows * step)
            try:
                rgb[block] = slide.read(place, mpp, half=True)
            except UnreachableError:
                raise
            except UserError:
                unread[block] = True
    return rgb, unread


def tissue_in_thumbnail(rgb: RgbArray, mpp: float) -> npt.NDArray[np.bool_]:
    """Tissue in an image of a few microns per pixel.

    Args:
        rgb: (y, x, 3) uint8.
        mpp: Microns per pixel.

    Returns:
        (y, x) bool.
    """
    smooth = ndimage.gaussian_filter(
        rgb.astype(np.float32), (_SMOOTH_UM / mpp, _SMOOTH_UM / mpp, 0), mode="nearest"
    )
    glass = _glass_colour(rgb, smooth)
    if glass is not None:
        smooth *= 255.0 / glass
    low, high = _extremes(smooth)
    chroma = high - low
    mask = chroma > (_NO_GLASS_CHROMA if glass is None else _chroma_threshold(chroma))
    ink = _is_ink(smooth)
    if ink.any():
        # The rim of a pen stroke is as pale as tissue.
        mask &= ~ndimage.binary_dilation(ink, _disk(_INK_RIM_UM / mpp))
    mask = remove_small_objects(mask, max_size=round(_MIN_OBJECT_UM2 / mpp**2))
    mask = ndimage.binary_dilation(mask, _disk(_GROW_UM / mpp))
    result: npt.NDArray[np.bool_] = remove_small_holes(mask, max_size=round(_MAX_HOLE_UM2 / mpp**2))
    return result


def _disk(radius: float) -> npt.NDArray[np.uint8]:
    result: npt.NDArray[np.uint8] = disk(max(1, round(radius)))
    return result


def _glass_colour(rgb: RgbArray, smooth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
    """Colour of the glass, (3,), or None where next to nothing of the image is glass."""
    red, green, blue = (rgb[:, :, i] for i in range(3))
    grey = (red.astype(np.float32) + green + blue) / 3
    mean = ndimage.uniform_filter(grey, 5)
    variance = ndimage.uniform_filter((grey - 128.0) ** 2, 5) - (mean - 128.0) ** 2
    low, high = _extremes(smooth)
    is_glass = (low > _GLASS_MIN) & (high - low < _GLASS_MAX_CHROMA)
    is_glass &= variance < _GLASS_MAX_STD**2
    if np.count_nonzero(is_glass) < _GLASS_MIN_SHARE * is_glass.size:
        return None
    return np.asarray(np.median(smooth[is_glass], axis=0), np.float32)


def _extremes(
    rgb: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The lowest and the highest channel of each pixel, (y, x) each."""
    # Along an axis of three numpy takes twenty times as long.
    red, green, blue = (rgb[:, :, i] for i in range(3))
    low = np.minimum(np.minimum(red, green), blue)
    return low, np.maximum(np.maximum(red, green), blue)


def _chroma_threshold(chroma: npt.NDArray[np.float32]) -> float:
    if float(np.ptp(chroma)) < 1.0:
        return _MIN_CHROMA
    return float(np.clip(threshold_otsu(chroma), _MIN_CHROMA, _MAX_CHROMA))


def _is_ink(smooth: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Green, cyan and blue pens; haematoxylin and eosin never give more green than red."""
    return smooth[:, :, 1] > smooth[:, :, 0] + _INK_MARGIN
