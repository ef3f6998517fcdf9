"""Reading a rectangle of a level at any scale, antialiased, exact to a fraction of a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from muse_core.array_types import RgbArray
from muse_core.slides.level import Level

_WHITE = 255
_EXACT_PX = 1e-3
"""Output pixels that differ by less than this from those of a level are read unchanged."""
_SUPPORT_PX = 2
"""Half width of Pillow's bicubic filter in output pixels (when reducing)."""
_FOLDED_STEP = 4
"""Source pixels are first averaged in squares, as long as an output pixel is at least this many
squares wide: hardly different from filtering all of them, and much faster."""
_BLOCK_SOURCE_PX = 1 << 22
"""Source pixels held at a time by each thread that reads (13 MB of RGB, and more in Pillow); larger
reads go by blocks."""


@dataclass(frozen=True)
class Grid:
    """Square output pixels over a level; (i, j) covers it from ``x + j * step``, ``y + i * step``.

    Attributes:
        x: Left edge, pixels of the level.
        y: Top edge, pixels of the level.
        step: Side of an output pixel in pixels of the level; about 1 or more.
        width: Columns.
        height: Rows.
    """

    x: float
    y: float
    step: float
    width: int
    height: int

    def part(self, left: int, top: int, width: int, height: int) -> Grid:
        """Return some of the output pixels."""
        x, y = self.x + left * self.step, self.y + top * self.step
        return Grid(x, y, self.step, width, height)


def resample(level: Level, grid: Grid, slide_wh: tuple[float, float]) -> RgbArray:
    """Sample a grid of output pixels from a level.

    Each depends on its own position only, so that tiles read one by one join without seams.

    Args:
        level: Where to read.
        grid: What to sample.
        slide_wh: Width and height of the slide in pixels of the level; up to a pixel beyond the
            level itself when that was cut off on halving.

    Returns:
        Pixels (height, width, 3), uint8; white outside the slide.
    """
    side = max(1, int(math.sqrt(_BLOCK_SOURCE_PX) / max(grid.step, 1.0)))
    if grid.height <= side and grid.width <= side:
        return _resample_block(level, grid, slide_wh)
    out = np.empty((grid.height, grid.width, 3), np.uint8)
    for top in range(0, grid.height, side):
        for left in range(0, grid.width, side):
            h, w = min(side, grid.height - top), min(side, grid.width - left)
            block = _resample_block(level, grid.part(left, top, w, h), slide_wh)
            out[top : top + h, left : left + w] = block
    return out


def _resample_block(level: Level, grid: Grid, slide_wh: tuple[float, float]) -> RgbArray:
    x, y, step, out_w, out_h = grid.x, grid.y, grid.step, grid.width, grid.height
    if max(abs(step - 1) * max(out_w, out_h), abs(x - round(x)), abs(y - round(y))) < _EXACT_PX:
        left, top = round(x), round(y)
        return _read_padded(level, left, top, left + out_w, top + out_h, slide_wh)
    fold = max(1, int(step / _FOLDED_STEP))
    margin = math.ceil(_SUPPORT_PX * max(step, 1.0)) + fold
    # Squares are counted from the level's corner, whatever is read.
    x0, y0 = ((math.floor(v) - margin) // fold * fold for v in (x, y))
    x1, y1 = (
        -(-(math.ceil(v + n * step) + margin) // fold) * fold for v, n in ((x, out_w), (y, out_h))
    )
    image = Image.fromarray(_read_padded(level, x0, y0, x1, y1, slide_wh))
    if fold > 1:
        image = image.reduce(fold)
    x, y, step = (x - x0) / fold, (y - y0) / fold, step / fold
    # In a single call Pillow chooses by the shape of the result whether to filter rows or columns
    # first, and rounds to 8 bits in between: a narrow tile would differ from the same place in a
    # wide one.
    columns = (x, 0, x + out_w * step, image.height)
    image = image.resize((out_w, image.height), Image.Resampling.BICUBIC, box=columns)
    rows = (0, y, out_w, y + out_h * step)
    return np.asarray(image.resize((out_w, out_h), Image.Resampling.BICUBIC, box=rows))


def _read_padded(
    level: Level, x0: int, y0: int, x1: int, y1: int, slide_wh: tuple[float, float]
) -> RgbArray:
    """Pixels of any rectangle; white beyond the slide, the last row or column up to its edge."""
    xa, xb = max(x0, 0), min(x1, level.width)
    ya, yb = max(y0, 0), min(y1, level.height)
    if (xa, ya, xb, yb) == (x0, y0, x1, y1):
        return level.read(x0, y0, x1, y1)
    out = np.full((y1 - y0, x1 - x0, 3), _WHITE, np.uint8)
    if xa >= xb or ya >= yb:
        return out
    out[ya - y0 : yb - y0, xa - x0 : xb - x0] = level.read(xa, ya, xb, yb)
    if xb == level.width and math.ceil(slide_wh[0]) > xb < x1:
        out[:, xb - x0] = out[:, xb - x0 - 1]
    if yb == level.height and math.ceil(slide_wh[1]) > yb < y1:
        out[yb - y0] = out[yb - y0 - 1]
    return out
