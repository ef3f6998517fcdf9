"""Merge the reports of neighbouring tiles so that each nucleus at a seam is kept exactly once.

Each tile reports the nuclei of its cells and of a margin around them, so that a nucleus on a seam
is reported by at least one tile, even though tiles place it slightly differently. A nucleus that
another tile may report too is held until all those tiles are in; of the reports of one nucleus the
one with the highest score is kept. All other nuclei are settled at once.

Two reports of different tiles are the same nucleus if each is the other's nearest among the reports
of that tile, within half the margin. The order in which tiles come in plays no part, so that the
result is the same for every order. If positions err by less than a quarter of the margin, and
nuclei are farther apart than the margin, none is lost and none is counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from muse_core.detect.plan import Tile, TilePlan
from muse_core.errors import UserError
from muse_core.models.tile_detections import TileDetections
from muse_core.neighbours import pairs_within


@dataclass
class _Held:
    """Reports of one tile near seams; settled ones are still compared with those of neighbours."""

    found: TileDetections
    undecided: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.undecided = np.ones(len(self.found), dtype=bool)


class SeamMerger:
    """Takes the nuclei of tiles in any order and gives each nucleus out once."""

    def __init__(self, plan: TilePlan, radius_px: float) -> None:
        """Prepare for a plan.

        Args:
            plan: The tiles to come.
            radius_px: The margin, model pixels; up to half of it, two tiles' reports are one.

        Raises:
            UserError: Cells are so small that a nucleus could concern tiles that do not touch.
        """
        if len(plan.tiles) > 1 and 4 * radius_px > min(plan.cell_w_px, plan.cell_h_px):
            raise UserError(
                "The seam radius is too large for the tiles; lower seam_radius_um or raise cell_px."
            )
        self._plan = plan
        self._radius = radius_px
        self._planned = plan.planned()
        self._pending = self._planned.copy()
        # First cell of the tile that each cell belongs to; beyond the tiles -1.
        self._owner = np.full((*self._planned.shape, 2), -1, dtype=np.int64)
        self._tiles = {(tile.row, tile.column): tile for tile in plan.tiles}
        for first, tile in self._tiles.items():
            self._owner[tile.cells] = first
        self._held: dict[tuple[int, int], _Held] = {}

    @property
    def held(self) -> int:
        """Number of nuclei that wait for a neighbouring tile."""
        return sum(int(h.undecided.sum()) for h in self._held.values())

    def add(self, tile: Tile, found: TileDetections) -> TileDetections:
        """Take all that a tile found in its read area; return the nuclei that this settles."""
        if not self._pending[tile.cells].all():
            raise ValueError(f"Tile {tile.index} is not awaited.")
        reported = found.take(self._reports(tile, found))
        self._pending[tile.cells] = False
        shared = self._concerns(reported, self._planned, but=tile)
        if shared.any():
            self._held[tile.row, tile.column] = _Held(reported.take(shared))
        settled = [reported.take(~shared), self._decide(self._around(tile))]
        self._forget(tile)
        return TileDetections.join(settled)

    def flush(self) -> TileDetections:
        """Settle all held nuclei as if the missing tiles were not in the plan."""
        self._pending[:] = False
        settled = self._decide(sorted(self._held))
        self._held.clear()
        return settled

    def _reports(self, tile: Tile, found: TileDetections) -> npt.NDArray[np.bool_]:
        plan, margin = self._plan, self._radius
        x = found.x - plan.x_px - tile.column * plan.cell_w_px
        y = found.y - plan.y_px - tile.row * plan.cell_h_px
        across = (x >= -margin) & (x < tile.columns * plan.cell_w_px + margin)
        return across & (y >= -margin) & (y < tile.rows * plan.cell_h_px + margin)

    def _concerns(
        self,
        found: TileDetections,
        cells: npt.NDArray[np.bool_],
        but: Tile | None = None,
    ) -> npt.NDArray[np.bool_]:
        """Return (n,) which reports lie so near the given cells that their tiles may have them too.

        Args:
            found: Reports.
            cells: (rows, columns) which cells count.
            but: The tile whose cells do not.
        """
        if but is not None:
            cells = cells.copy()
            cells[but.cells] = False
        plan, reach = self._plan, 2 * self._radius
        hit = np.zeros(len(found), dtype=bool)
        for dy in (-reach, reach):
            row = np.floor((found.y + dy - plan.y_px) / plan.cell_h_px).astype(np.int64)
            row = row.clip(0, plan.rows - 1)
            for dx in (-reach, reach):
                column = np.floor((found.x + dx - plan.x_px) / plan.cell_w_px).astype(np.int64)
                column = column.clip(0, plan.columns - 1)
                hit |= cells[row, column]
        return hit

    def _decide(self, tiles: Sequence[tuple[int, int]]) -> TileDetections:
        """Settle the held reports of these tiles that wait for no tile any more.

        Args:
            tiles: By their first cells, in order, which is that of equal scores.
        """
        held = [self._held[c] for c in tiles if c in self._held]
        if not held:
            return TileDetections.none()
        everyone = TileDetections.join([h.found for h in held])
        origin = np.repeat(np.arange(len(held)), [len(h.found) for h in held])
        undecided = np.concatenate([h.undecided for h in held])
        ready = undecided & ~self._concerns(everyone, self._pending)
        if not ready.any():
            return TileDetections.none()
        kept = ready & ~_beaten(everyone, origin, self._radius / 2)
        for i, h in enumerate(held):
            h.undecided &= ~ready[origin == i]
        return everyone.take(kept)

    def _around(self, tile: Tile) -> list[tuple[int, int]]:
        """The first cells of a tile and of those that it touches, in order."""
        owners = np.unique(self._owner[_with_neighbours(tile)].reshape(-1, 2), axis=0).tolist()
        return [(row, column) for row, column in owners if row >= 0]

    def _forget(self, tile: Tile) -> None:
        """Drop the reports of tiles that no held nucleus can be compared with any more."""
        for near in self._around(tile):
            if near not in self._held:
                continue
            if not self._pending[_with_neighbours(self._tiles[near])].any():
                del self._held[near]


def _with_neighbours(tile: Tile) -> tuple[slice, slice]:
    """Index of the cells of a tile and of those around them in an array of (rows, columns)."""
    rows, columns = (slice(max(0, s.start - 1), s.stop + 1) for s in tile.cells)
    return rows, columns


def _beaten(
    found: TileDetections, origin: npt.NDArray[np.int64], radius_px: float
) -> npt.NDArray[np.bool_]:
    """Return (n,) which reports are of a nucleus that another tile reports with a better score.

    Args:
        found: Reports of several tiles.
        origin: (n,) number of the tile of each, in the tiles' order in the plan.
        radius_px: Largest distance between two reports of one nucleus.
    """
    beaten = np.zeros(len(found), dtype=bool)
    points = found.xy
    pairs = pairs_within(points, radius_px)
    pairs = pairs[origin[pairs[:, 0]] != origin[pairs[:, 1]]]
    if not len(pairs):
        return beaten
    a = np.concatenate([pairs[:, 0], pairs[:, 1]])
    b = np.concatenate([pairs[:, 1], pairs[:, 0]])
    distance = np.hypot(*(points[a] - points[b]).T)
    order = np.lexsort((b, distance, origin[b], a))
    a, b = a[order], b[order]
    # The first of each (report, other tile) is the nearest report of that tile.
    nearest = np.ones(len(a), dtype=bool)
    nearest[1:] = (a[1:] != a[:-1]) | (origin[b[1:]] != origin[b[:-1]])
    a, b = a[nearest], b[nearest]
    mutual = np.isin(a * len(found) + b, b * len(found) + a)
    a, b = a[mutual], b[mutual]
    better = (found.score[b] > found.score[a]) | (
        (found.score[b] == found.score[a]) & (origin[b] < origin[a])
    )
    beaten[a[better]] = True
    return beaten
