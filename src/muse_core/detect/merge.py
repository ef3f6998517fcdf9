"""TileMerge: merges the reports of tiles, logged and new, into nuclei in the order of the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from muse_core.detect.collector import Collector
from muse_core.detect.plan import Tile, TilePlan
from muse_core.detect.seams import SeamMerger
from muse_core.detect.tile_log import TileLog
from muse_core.errors import UserError
from muse_core.models.tile_detections import TileDetections
from muse_core.nuclei.counted import counted_nuclei
from muse_core.progress import OnProgress
from muse_core.slides.unreadable import Unreadable

_LOGGED_AT_ONCE = 32


class TileReport(NamedTuple):
    """What a tile reports.

    Attributes:
        tile: The tile.
        found: Its nuclei; None where no pixel of it could be read.
        unreadable: Places that could not be read, also in its halo.
    """

    tile: Tile
    found: TileDetections | None
    unreadable: tuple[Unreadable, ...] = ()


class TileMerge:
    """Logs the reports of tiles and settles their nuclei.

    Tiles are merged in the order of the plan, not in the order in which they are reported, so that
    an interrupted and resumed run gives the same result, ids included.

    Attributes:
        done: Tiles merged.
        unreadable: Places in the cells of these tiles that could not be read.
    """

    def __init__(
        self,
        plan: TilePlan,
        radius_px: float,
        collector: Collector,
        log: TileLog | None,
        seconds: Callable[[], float],
    ) -> None:
        """Prepare.

        Args:
            plan: All tiles of the run.
            radius_px: See :class:`SeamMerger`.
            collector: Takes what is settled.
            log: Has the reports of an earlier run, and takes new ones.
            seconds: What the run has taken so far.
        """
        self.done = 0
        self.unreadable: list[Unreadable] = []
        self._unread = 0
        self._plan = plan
        self._merger = SeamMerger(plan, radius_px)
        self._collector = collector
        self._log = log
        self._seconds = seconds

    def __contains__(self, tile: object) -> bool:
        """Whether a tile, by its number, has reported in an earlier run."""
        return self._log is not None and tile in self._log

    def take_all(
        self,
        fresh: Iterator[list[TileReport]],
        report: OnProgress,
        should_cancel: Callable[[], bool],
    ) -> None:
        """Merge all tiles; ends early where the fresh ones do, or on cancel.

        Args:
            fresh: Reports of the tiles that have not reported yet, in the order of the plan.
            report: Told tiles done, tiles in all and a message.
            should_cancel: Asked between batches.

        Raises:
            UserError: Not one tile could be read.
        """
        total = len(self._plan.tiles)
        report(0, total, "Looking for nuclei")
        for group in self._in_order(fresh, should_cancel):
            self._take(group)
            report(self.done, total, counted_nuclei(self._collector.count))
        if self.unreadable and self._unread == self.done == total:
            raise UserError(self.unreadable[0].reason)
        self._collector.add(self._merger.flush(), self._plan.scale)

    def _in_order(
        self, fresh: Iterator[list[TileReport]], should_cancel: Callable[[], bool]
    ) -> Iterator[list[TileReport]]:
        """All reports in the order of the plan, in groups; ends early as :meth:`take_all` does."""
        logged = {tile.index for tile in self._plan.tiles if tile.index in self}
        ready: dict[int, TileReport] = {}
        group: list[TileReport] = []
        for tile in self._plan.tiles:
            if tile.index in logged and self._log is not None:
                if not group and should_cancel():
                    return
                group.append(TileReport(tile, self._log.read(tile.index)))
            else:
                if tile.index not in ready:
                    if group:
                        yield group
                        group = []
                    batch = next(fresh, None)
                    if batch is None:
                        return
                    self._keep(batch)
                    ready.update((new.tile.index, new) for new in batch)
                group.append(ready.pop(tile.index))
                if ready:
                    continue
            if len(group) >= _LOGGED_AT_ONCE or tile.index not in logged:
                yield group
                group = []
        if group:
            yield group

    def _keep(self, batch: list[TileReport]) -> None:
        """Log what was found, but not tiles with unreadable places: they are tried again."""
        found = [(r.tile.index, r.found) for r in batch if r.found is not None and not r.unreadable]
        if self._log is not None and found:
            self._log.append(found, self._seconds())

    def _take(self, group: list[TileReport]) -> None:
        """Merge reports in the order given."""
        settled = []
        for tile, found, unreadable in group:
            # What is lost in its halo lies in the cells of a neighbour, or where nothing is wanted.
            cells = self._plan.tile_region(tile)
            for lost in unreadable:
                if place := lost.region.intersect(cells):
                    self.unreadable.append(Unreadable(place, lost.reason))
            if found is None:
                self._unread += 1
                found = TileDetections.none()
            settled.append(self._merger.add(tile, found))
        self.done += len(group)
        self._collector.add(TileDetections.join(settled), self._plan.scale)
