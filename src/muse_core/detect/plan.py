"""The tile plan: which rectangles of a slide go through the network, and which part each reports.

A grid of small cells lies over the wanted area. A tile is a rectangle of whole cells with a halo
around it. It has as many cells as memory allows, because the work on halos is lost, but leaves out
cells without tissue where that saves pixels. The first tile is small, so that nuclei appear soon.

All positions are in model pixels: level-0 pixels times ``slide mpp / model mpp``, with the origin
at the slide's own corner. Tiles begin at multiples of 32 there, whatever region is asked for, so
that the network sees the same pixels in the same phase and gives the same answer.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from muse_core.detect.area import SearchArea
from muse_core.detect.config import ALIGN_PX, DetectConfig
from muse_core.detect.cover import Cells, Cover
from muse_core.detect.network_sizes import ImageSize, shared_sizes
from muse_core.slides import Region

WorthReading = Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], npt.NDArray[np.bool_]]
_FIRST_PX = 768
"""A tile with more pixels than this squared is not taken first; a part of it is split off."""
_FIRST_PART_PX = 384
"""About the side of that part."""


@dataclass(frozen=True)
class Tile:
    """One tile: the cells of the grid whose nuclei it reports, and where it is read.

    Attributes:
        index: Place in the plan.
        row: First row in the grid of cells.
        column: First column in the grid of cells.
        x_px: Left side of the read area with halo, model pixels.
        y_px: Top side of the read area with halo, model pixels.
        rows: Number of cells from top to bottom.
        columns: Number of cells from left to right.
    """

    index: int
    row: int
    column: int
    x_px: int
    y_px: int
    rows: int = 1
    columns: int = 1

    @property
    def cells(self) -> tuple[slice, slice]:
        """Index of its cells in an array of (rows, columns)."""
        return (
            slice(self.row, self.row + self.rows),
            slice(self.column, self.column + self.columns),
        )


@dataclass(frozen=True)
class TilePlan:
    """A grid of equal cells over the wanted area, and the tiles to compute.

    A point belongs to the cell with ``x0 <= x < x1`` and ``y0 <= y < y1``: the cells, clipped to
    the area, partition it, and no cell is in two tiles.

    Attributes:
        x_px: Left side of the grid, a multiple of 32 model pixels.
        y_px: Top side of the grid, a multiple of 32 model pixels.
        width_px: Width of the grid, a multiple of 32.
        height_px: Height of the grid, a multiple of 32.
        cell_w_px: Width of a cell, a multiple of 32; the last column may be narrower.
        cell_h_px: Height of a cell, a multiple of 32; the last row may be lower.
        halo_px: Context around the cells of a tile that is read as well.
        scale: Level-0 pixels per model pixel.
        tiles: The tiles to look at, in the order in which they are computed.
        padded: Sizes of tiles (height, width) that are padded for the network, and the larger ones
            that it sees instead.
    """

    x_px: int
    y_px: int
    width_px: int
    height_px: int
    cell_w_px: int
    cell_h_px: int
    halo_px: int
    scale: float
    tiles: tuple[Tile, ...]
    padded: Mapping[ImageSize, ImageSize] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of cells from top to bottom."""
        return math.ceil(self.height_px / self.cell_h_px)

    @property
    def columns(self) -> int:
        """Number of cells from left to right."""
        return math.ceil(self.width_px / self.cell_w_px)

    def core_size(self, tile: Tile) -> ImageSize:
        """Height and width of the cells of a tile, model pixels."""
        return (
            min(tile.rows * self.cell_h_px, self.height_px - tile.row * self.cell_h_px),
            min(tile.columns * self.cell_w_px, self.width_px - tile.column * self.cell_w_px),
        )

    def read_size(self, tile: Tile) -> ImageSize:
        """Height and width of a tile with its halo, model pixels."""
        height, width = self.core_size(tile)
        return height + 2 * self.halo_px, width + 2 * self.halo_px

    def network_size(self, tile: Tile) -> ImageSize:
        """Height and width of the image that the network sees; it begins with the tile."""
        size = self.read_size(tile)
        return self.padded.get(size, size)

    @property
    def network_px(self) -> int:
        """Pixels that the network sees, with those in several halos and of padding."""
        return sum(math.prod(self.network_size(tile)) for tile in self.tiles)

    @property
    def core_px(self) -> int:
        """Pixels of the cells of all tiles."""
        return sum(math.prod(self.core_size(tile)) for tile in self.tiles)

    def planned(self) -> npt.NDArray[np.bool_]:
        """Return (rows, columns) which cells belong to a tile."""
        mask = np.zeros((self.rows, self.columns), dtype=bool)
        for tile in self.tiles:
            mask[tile.cells] = True
        return mask

    def digest(self) -> str:
        """Equal for plans of the same tiles at the same places in the same order, hexadecimal."""
        size = (self.width_px, self.height_px, self.cell_w_px, self.cell_h_px)
        grid = (self.x_px, self.y_px, *size, self.halo_px, self.scale)
        told = hashlib.sha256(repr(grid).encode())
        cells = [(tile.row, tile.column, tile.rows, tile.columns) for tile in self.tiles]
        told.update(np.array(cells, dtype=np.int64).tobytes())
        told.update(repr(sorted(self.padded.items())).encode() if self.padded else b"")
        return told.hexdigest()

    def tile_region(self, tile: Tile) -> Region:
        """The cells of a tile in level-0 pixels."""
        height, width = self.core_size(tile)
        return Region(
            (self.x_px + tile.column * self.cell_w_px) * self.scale,
            (self.y_px + tile.row * self.cell_h_px) * self.scale,
            width * self.scale,
            height * self.scale,
        )

    def read_region(self, tile: Tile) -> Region:
        """Return the region to read for a tile, level-0 pixels; it may extend beyond the slide."""
        height, width = self.read_size(tile)
        return Region(
            tile.x_px * self.scale,
            tile.y_px * self.scale,
            width * self.scale,
            height * self.scale,
        )

    def outwards(self, focus: tuple[float, float] | None) -> TilePlan:
        """Reorder the tiles by their distance from a place x, y in level-0 pixels, if given.

        In either order the first tile is small; where none is, a large one is split.
        """
        if not self.tiles:
            return self
        tiles = list(self.tiles)
        at = (0.0, 0.0)
        if focus is not None:
            x, y = focus[0] / self.scale - self.x_px, focus[1] / self.scale - self.y_px
            at = x, y
            tiles.sort(key=lambda tile: self._distance(tile, x, y))
        elif not self._is_small(tiles[0]):
            least = min(tiles, key=lambda tile: math.prod(self.core_size(tile)))
            if self._is_small(least):
                tiles.remove(least)
                tiles.insert(0, least)
        first = tiles[0]
        parts = [first]
        if not self._is_small(first):
            parts = [self.tile_of(*cells) for cells in _around(first, *self._part_at(first, at))]
        if focus is not None:
            parts[1:] = sorted(parts[1:], key=lambda tile: self._distance(tile, *at))
        return replace(
            self, tiles=tuple(replace(t, index=i) for i, t in enumerate((*parts, *tiles[1:])))
        )

    def with_shared_sizes(self) -> TilePlan:
        """Pad tiles, in their final order, so that few sizes go through the network."""
        shared = shared_sizes([self.read_size(tile) for tile in self.tiles])
        return replace(self, padded={size: use for size, use in shared.items() if use != size})

    def _is_small(self, tile: Tile) -> bool:
        return math.prod(self.core_size(tile)) <= _FIRST_PX**2

    def _part_at(self, tile: Tile, at: tuple[float, float]) -> Cells:
        """Cells of a tile, about a square, around the place in it that is nearest to a point."""
        sides = (
            (at[1], self.cell_h_px, tile.row, tile.rows),
            (at[0], self.cell_w_px, tile.column, tile.columns),
        )
        found = []
        for place, cell_px, start, count in sides:
            wanted = min(count, max(1, round(_FIRST_PART_PX / cell_px)))
            first = math.floor(place / cell_px - (wanted - 1) / 2)
            found.append((min(max(first, start), start + count - wanted), wanted))
        (row, rows), (column, columns) = found
        return row, column, rows, columns

    def _distance(self, tile: Tile, x: float, y: float) -> float:
        """From a place, in model pixels from the grid's corner, to the nearest of a tile."""
        left, top = tile.column * self.cell_w_px, tile.row * self.cell_h_px
        height, width = self.core_size(tile)
        right, bottom = left + width, top + height
        return math.hypot(max(left - x, 0.0, x - right), max(top - y, 0.0, y - bottom))

    def tile_of(self, row: int, column: int, rows: int, columns: int) -> Tile:
        """A tile of these cells, not yet numbered."""
        return Tile(
            0,
            row,
            column,
            self.x_px + column * self.cell_w_px - self.halo_px,
            self.y_px + row * self.cell_h_px - self.halo_px,
            rows,
            columns,
        )


def plan_tiles(
    area: SearchArea,
    scale: float,
    config: DetectConfig,
    worth_reading: WorthReading | None = None,
) -> TilePlan:
    """Lay a grid over an area and choose tiles that cover the cells that touch it.

    Args:
        area: Where nuclei are wanted.
        scale: Level-0 pixels per model pixel (model mpp / slide mpp).
        config: Largest tile and halo.
        worth_reading: Given the edges of columns and of rows (level-0 pixels, cut to the area's
            bounds), which cells (rows, columns) may hold nuclei; None takes all.

    Returns:
        The plan; small areas get one small tile, larger ones evenly sized cells.
    """
    bounds = area.bounds
    x_px, width, cell_w = _split(bounds.x / scale, bounds.x1 / scale, config)
    y_px, height, cell_h = _split(bounds.y / scale, bounds.y1 / scale, config)
    plan = TilePlan(x_px, y_px, width, height, cell_w, cell_h, config.halo_px, scale, ())
    rows, columns = plan.rows, plan.columns
    row_px = np.minimum(np.arange(rows + 1) * cell_h, height)
    column_px = np.minimum(np.arange(columns + 1) * cell_w, width)
    y = ((y_px + row_px) * scale).clip(bounds.y, bounds.y1)
    x = ((x_px + column_px) * scale).clip(bounds.x, bounds.x1)
    worth = np.ones((rows, columns), dtype=bool) if worth_reading is None else worth_reading(x, y)
    worth &= _touched(area, x, y, worth)
    cover = Cover(worth, row_px, column_px, config.halo_px)
    chosen = [
        cells
        for row, n_rows in _evenly(rows, config.core_px // cell_h)
        for column, n_columns in _evenly(columns, config.core_px // cell_w)
        for cells in cover.of((row, column, n_rows, n_columns))
    ]
    tiles = [plan.tile_of(*cells) for cells in sorted(chosen)]
    return replace(plan, tiles=tuple(replace(t, index=i) for i, t in enumerate(tiles)))


def _touched(
    area: SearchArea,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    asked: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Return (rows, columns) which of the cells that are asked for touch the area."""
    if len(area.shapes) == 1 and isinstance(area.shapes[0], Region):
        return asked
    touched = np.zeros_like(asked)
    for row, column in np.argwhere(asked):
        cell = Region(x[column], y[row], x[column + 1] - x[column], y[row + 1] - y[row])
        touched[row, column] = area.touches(cell)
    return touched


def _around(tile: Tile, row: int, column: int, rows: int, columns: int) -> list[Cells]:
    """Split a tile into the given part, first, and up to four rectangles around it."""
    above, left = row - tile.row, column - tile.column
    below, right = tile.rows - above - rows, tile.columns - left - columns
    parts = [
        (row, column, rows, columns),
        (row, tile.column, rows, left),
        (row, column + columns, rows, right),
        (tile.row, tile.column, above, tile.columns),
        (row + rows, tile.column, below, tile.columns),
    ]
    return [part for part in parts if part[2] and part[3]]


def _evenly(count: int, most: int) -> list[tuple[int, int]]:
    """Divide cells into the fewest, nearly equal runs of at most ``most``: (start, length) each."""
    runs = max(1, math.ceil(count / most))
    edges = [count * i // runs for i in range(runs + 1)]
    return [(a, b - a) for a, b in itertools.pairwise(edges)]


def _split(start: float, end: float, config: DetectConfig) -> tuple[int, int, int]:
    """Aligned start, aligned length and cell size of a grid that covers ``start`` to ``end``.

    Takes the cell size that needs the fewest tiles; among equals, the largest.
    """
    first = math.floor(start / ALIGN_PX) * ALIGN_PX
    length = max(1, math.ceil((end - first) / ALIGN_PX)) * ALIGN_PX
    parts = max(1, config.core_px // config.cell_px)
    largest = config.core_px // parts // ALIGN_PX * ALIGN_PX
    least = max(4 * ALIGN_PX, largest * 3 // 4 // ALIGN_PX * ALIGN_PX)

    def tiles(cell_px: int) -> int:
        return math.ceil(math.ceil(length / cell_px) / (config.core_px // cell_px))

    best = min(range(least, largest + 1, ALIGN_PX), key=lambda size: (tiles(size), -size))
    return first, length, min(best, length)
