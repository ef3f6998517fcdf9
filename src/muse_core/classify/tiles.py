"""Assign each nucleus to the tile in which it lies most central. No torch.

Tiles have the model's field of view and overlap by half. Each computes the nuclei in its middle
half; the middle halves partition the slide, so that every nucleus is at least a quarter of the
field of view away from the border of its tile. The grid is fixed to the slide, so that the feature
of a nucleus does not depend on other nuclei.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.slides import Region

_MULTIPLE_PX = 32


@dataclass(frozen=True)
class FeatureTile:
    """A tile and the nuclei whose features are taken from it.

    Attributes:
        region: What to read, level-0 pixels; may reach beyond the slide.
        rows: (n,) int64, which of the points lie in its middle half.
        xy: (n, 2) float32, those points in pixels of the tile.
    """

    region: Region
    rows: npt.NDArray[np.int64]
    xy: npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeatureTiles:
    """The tiles that are needed for some points.

    Attributes:
        xy: (N, 2) float64, points in pixels at the model's resolution.
        order: (N,) int64, points sorted by tile.
        starts: (T + 1,) int64, where each tile's points begin in ``order``.
        fov_px: Side of a tile in pixels at the model's resolution.
        scale: Level-0 pixels per pixel at the model's resolution.
    """

    xy: npt.NDArray[np.float64]
    order: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    fov_px: int
    scale: float

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> FeatureTile:
        rows = self.order[self.starts[index] : self.starts[index + 1]]
        core_px = self.fov_px // 2
        cell = np.floor(self.xy[rows[0]] / core_px)
        corner = cell * core_px - core_px / 2
        side = self.fov_px * self.scale
        x, y = corner * self.scale
        region = Region(float(x), float(y), side, side)
        return FeatureTile(region, rows, (self.xy[rows] - corner).astype(np.float32))


def plan_feature_tiles(xy: npt.ArrayLike, scale: float, fov_px: int) -> FeatureTiles:
    """Choose the tiles for some points.

    Args:
        xy: (N, 2), level-0 pixels.
        scale: Level-0 pixels per pixel at the model's resolution.
        fov_px: Side of a tile, a multiple of 32.

    Raises:
        UserError: ``fov_px`` is no multiple of 32 between 64 and 2048.
    """
    if fov_px % _MULTIPLE_PX or not 64 <= fov_px <= 2048:
        raise UserError("The field of view is a multiple of 32 pixels between 64 and 2048.")
    points = np.asarray(xy, dtype=np.float64).reshape(-1, 2) / scale
    cells = np.floor(points / (fov_px // 2)).astype(np.int64)
    # Row by row, so that neighbouring tiles share what the slide has decoded.
    order = np.lexsort((cells[:, 0], cells[:, 1]))
    steps = np.any(np.diff(cells[order], axis=0) != 0, axis=1)
    inner = np.flatnonzero(steps) + 1
    ends = [len(points)] if len(points) else []
    starts = np.concatenate([[0], inner, ends]).astype(np.int64)
    return FeatureTiles(points, order, starts, fov_px, scale)
