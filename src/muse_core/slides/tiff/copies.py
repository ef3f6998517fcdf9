"""Decide from pixels whether an image is a smaller copy of another."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.slides.level import Level

_PATCH_PX = 64
_LARGEST_READ_PX = 1536
_PLACES = 4
_LARGE_PIECE_PX = 1 << 24
_BLOCK_PX = 2
_SAME = 0.75
"""Correlation of the brightness of copies is well above, that of two pieces of tissue below."""
_ASPECT_PX = 2.0
_FLAT = 4.0


def may_be_copy(base: tuple[int, int], small: tuple[int, int]) -> bool:
    """Whether the sizes (width, height) allow that one is a smaller copy of the other."""
    ratio_x, ratio_y = base[0] / small[0], base[1] / small[1]
    if min(ratio_x, ratio_y) <= 1:
        return False
    off_px = abs(ratio_x - ratio_y) / max(ratio_x, ratio_y) * min(small)
    return off_px <= _ASPECT_PX or abs(ratio_x - ratio_y) <= 0.02 * ratio_x


def is_copy(base: Level, small: Level) -> bool:
    """Whether a smaller image of the same proportions shows the same.

    Blocks spread over both images are compared, so that large images are not read whole. Images
    that cannot be read or have a single colour count as copies.

    Args:
        base: The larger one.
        small: The smaller one.
    """
    pairs: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = []
    try:
        pairs += _pairs(base, small)
    except UserError:
        return True
    if not pairs:
        return True
    fine, coarse = (np.concatenate([p[i] for p in pairs]) for i in (0, 1))
    if max(fine.std(), coarse.std()) < _FLAT:
        return True
    if min(fine.std(), coarse.std()) == 0:
        return False
    return bool(np.corrcoef(fine, coarse)[0, 1] >= _SAME)


def _pairs(
    base: Level, small: Level
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Brightness of blocks of both images at some places."""
    ratio_x, ratio_y = base.width / small.width, base.height / small.height
    side = min(_PATCH_PX, max(2 * _BLOCK_PX, math.floor(_LARGEST_READ_PX / max(ratio_x, ratio_y))))
    # Where a read decodes much of the image, as of one strip, one place has to do.
    pieces = max(level.piece_h * level.piece_w for level in (base, small))
    places = 1 if pieces > _LARGE_PIECE_PX else _PLACES
    for y in _starts(small.height, side, places):
        for x in _starts(small.width, side, places):
            coarse = small.read(x, y, min(x + side, small.width), min(y + side, small.height))
            rows, cols = coarse.shape[0] // _BLOCK_PX, coarse.shape[1] // _BLOCK_PX
            if not rows or not cols:
                continue
            x1, y1 = x + cols * _BLOCK_PX, y + rows * _BLOCK_PX
            fine = base.read(
                math.floor(x * ratio_x),
                math.floor(y * ratio_y),
                min(math.ceil(x1 * ratio_x), base.width),
                min(math.ceil(y1 * ratio_y), base.height),
            )
            yield _blocks(fine, rows, cols), _blocks(coarse[: y1 - y, : x1 - x], rows, cols)


def _starts(length: int, side: int, places: int) -> list[int]:
    room = max(0, length - side)
    if places == 1:
        return [room // 2]
    return sorted({round(room * i / (places - 1)) for i in range(places)})


def _blocks(rgb: npt.NDArray[np.uint8], rows: int, cols: int) -> npt.NDArray[np.float64]:
    """(rows * cols,) mean brightness of parts of a picture."""
    gray = rgb.mean(axis=2)
    y = np.linspace(0, gray.shape[0], rows + 1)[:-1].astype(int)
    x = np.linspace(0, gray.shape[1], cols + 1)[:-1].astype(int)
    sums = np.add.reduceat(np.add.reduceat(gray, y, axis=0), x, axis=1)
    counts = np.outer(np.diff([*y.tolist(), gray.shape[0]]), np.diff([*x.tolist(), gray.shape[1]]))
    return np.asarray(sums / counts).ravel()
