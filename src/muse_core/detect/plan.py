"""The tile plan: which squares of a slide go through the network, and which answers for what.

All positions are in model pixels: level-0 pixels times ``slide mpp / model mpp``, with the origin
at the slide's own corner. Tiles begin at multiples of 32 there, whatever region is asked for, so
that the network sees the same pixels in the same phase and gives the same answer.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from muse_core.detect.area import SearchArea
from muse_core.detect.config import ALIGN_PX, DetectConfig
from muse_core.slides import Region

_SMALLER_TILES_PX = (768, 512)


@dataclass(frozen=True)
class Tile:
    """One tile: the cell of the grid it answers for, and where it is read.

    Attributes:
        index: Place in the plan.
        row: Row in the grid of cells.
        column: Column in the grid of cells.
        x_px: Left side of the read area with halo, model pixels.
        y_px: Top side of the read area with halo, model pixels.
    """

    index: int
    row: int
    column: int
    x_px: int
    y_px: int


@dataclass(frozen=True)
class TilePlan:
    """A grid of equal cells over the wanted area, and the tiles that are worth looking at.

    A point belongs to the cell with ``x0 <= x < x1`` and ``y0 <= y < y1``: the cells, cut at the
    area's own border, part it without gap or overlap.

    Attributes:
        x_px: Left side of the grid, a multiple of 32 model pixels.
        y_px: Top side of the grid, a multiple of 32 model pixels.
        cell_w_px: Width of a cell, a multiple of 32.
        cell_h_px: Height of a cell, a multiple of 32.
        rows: Number of cells from top to bottom.
        columns: Number of cells from left to right.
        halo_px: Context around a cell that is read as well.
        scale: Level-0 pixels per model pixel.
        tiles: The tiles to look at, row by row.
    """

    x_px: int
    y_px: int
    cell_w_px: int
    cell_h_px: int
    rows: int
    columns: int
    halo_px: int
    scale: float
    tiles: tuple[Tile, ...]

    @property
    def read_w_px(self) -> int:
        """Width of every tile as the network sees it."""
        return self.cell_w_px + 2 * self.halo_px

    @property
    def read_h_px(self) -> int:
        """Height of every tile as the network sees it."""
        return self.cell_h_px + 2 * self.halo_px

    def planned(self) -> npt.NDArray[np.bool_]:
        """Which cells have a tile, (rows, columns)."""
        mask = np.zeros((self.rows, self.columns), dtype=bool)
        for tile in self.tiles:
            mask[tile.row, tile.column] = True
        return mask

    def digest(self) -> str:
        """Equal for plans of the same tiles at the same places in the same order, hexadecimal."""
        grid = (self.x_px, self.y_px, self.cell_w_px, self.cell_h_px, self.halo_px, self.scale)
        told = hashlib.sha256(repr((grid, self.planned().shape)).encode())
        cells = np.array([(tile.row, tile.column) for tile in self.tiles], dtype=np.int64)
        told.update(cells.tobytes())
        return told.hexdigest()

    def cell_region(self, row: int, column: int) -> Region:
        """A cell in level-0 pixels."""
        return Region(
            (self.x_px + column * self.cell_w_px) * self.scale,
            (self.y_px + row * self.cell_h_px) * self.scale,
            self.cell_w_px * self.scale,
            self.cell_h_px * self.scale,
        )

    def outwards(self, focus: tuple[float, float] | None) -> TilePlan:
        """The plan with its tiles nearest first to a place x, y in level-0 pixels, if there is."""
        if focus is None:
            return self
        x, y = focus[0] / self.scale - self.x_px, focus[1] / self.scale - self.y_px

        def distance(tile: Tile) -> float:
            return math.hypot(
                (tile.column + 0.5) * self.cell_w_px - x, (tile.row + 0.5) * self.cell_h_px - y
            )

        ordered = sorted(self.tiles, key=distance)
        return replace(self, tiles=tuple(replace(t, index=i) for i, t in enumerate(ordered)))

    def read_region(self, tile: Tile) -> Region:
        """What to read for a tile, in level-0 pixels; it may reach over the slide's border."""
        return Region(
            tile.x_px * self.scale,
            tile.y_px * self.scale,
            self.read_w_px * self.scale,
            self.read_h_px * self.scale,
        )


def plan_tiles(
    area: SearchArea,
    scale: float,
    config: DetectConfig,
    worth_reading: Callable[[Region], bool] = lambda _: True,
) -> TilePlan:
    """Lay a grid over an area and choose the cells that touch it.

    Args:
        area: Where nuclei are wanted.
        scale: Level-0 pixels per model pixel (model mpp / slide mpp).
        config: Tile size and halo.
        worth_reading: Given a cell cut to the area's bounds (level-0 pixels), whether it may hold
            nuclei.

    Returns:
        The plan; small areas get one small tile, larger ones evenly sized cells.
    """
    bounds = area.bounds
    x_px, cell_w, columns = _split(bounds.x / scale, bounds.x1 / scale, config.core_px)
    y_px, cell_h, rows = _split(bounds.y / scale, bounds.y1 / scale, config.core_px)
    empty = TilePlan(x_px, y_px, cell_w, cell_h, rows, columns, config.halo_px, scale, ())
    tiles: list[Tile] = []
    for row in range(rows):
        for column in range(columns):
            core = empty.cell_region(row, column).intersect(bounds)
            if core is None or not area.touches(core) or not worth_reading(core):
                continue
            left = x_px + column * cell_w - config.halo_px
            top = y_px + row * cell_h - config.halo_px
            tiles.append(Tile(len(tiles), row, column, left, top))
    return TilePlan(x_px, y_px, cell_w, cell_h, rows, columns, config.halo_px, scale, tuple(tiles))


def cheapest_plan(
    area: SearchArea,
    scale: float,
    config: DetectConfig,
    worth_reading: Callable[[Region], bool] = lambda _: True,
) -> TilePlan:
    """The plan with the fewest pixels to read, of those with the configured and smaller tiles.

    Large tiles spend less on their halos, small ones less on the glass between islands of tissue.
    See :func:`plan_tiles`.
    """
    least_px = 4 * config.halo_px
    sides = [config.tile_px, *(s for s in _SMALLER_TILES_PX if least_px < s < config.tile_px)]
    plans = [
        plan_tiles(area, scale, replace(config, tile_px=side), worth_reading) for side in sides
    ]
    return min(plans, key=lambda plan: len(plan.tiles) * plan.read_w_px * plan.read_h_px)


def _split(start: float, end: float, largest_px: int) -> tuple[int, int, int]:
    """Aligned start, cell size and number of cells that cover ``start`` to ``end`` evenly."""
    first = math.floor(start / ALIGN_PX) * ALIGN_PX
    length = end - first
    n = max(1, math.ceil(length / largest_px))
    cell = math.ceil(length / n / ALIGN_PX) * ALIGN_PX
    return first, cell, max(1, math.ceil(length / cell))
