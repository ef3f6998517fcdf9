"""A run that is interrupted and resumed gives the result of an uninterrupted one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.detect.collector import Collector
from muse_core.detect.merge import TileMerge, TileReport
from muse_core.detect.plan import Tile, TilePlan
from muse_core.detect.spool import FileSpool, MemorySpool, Spool
from muse_core.detect.tile_log import TileLog
from muse_core.models.tile_detections import TileDetections

from .test_seams import RADIUS, nuclei, plan_for

CLASSES = ("a", "b", "c")


def report(tile: Tile, plan: TilePlan, points: np.ndarray, seed: int) -> TileDetections:
    """Nuclei of a tile, the same every time."""
    rng = np.random.default_rng((seed, tile.index))
    low = np.array([tile.x_px, tile.y_px])
    high = low + np.array(plan.read_size(tile)[::-1])
    inside = ((points >= low) & (points < high)).all(axis=1)
    xy = points[inside] + rng.uniform(-0.6, 0.6, (int(inside.sum()), 2))
    probs = rng.dirichlet([1, 1, 1], len(xy)).astype(np.float32).reshape(-1, 3)
    features = rng.normal(size=(len(xy), 2)).astype(np.float16)
    return TileDetections(xy, rng.random(len(xy), np.float32), probs, features)


def in_batches(
    plan: TilePlan, tiles: list[Tile], points: np.ndarray, seed: int, size: int
) -> Iterator[list[TileReport]]:
    for i in range(0, len(tiles), size):
        yield [TileReport(tile, report(tile, plan, points, seed)) for tile in tiles[i : i + size]]


def run(
    plan: TilePlan, points: np.ndarray, seed: int, size: int, spool: Spool, log: TileLog | None
) -> Collector:
    collector = Collector("m", CLASSES, None, spool)
    merge = TileMerge(plan, RADIUS, collector, log, lambda: 0.0)
    missing = [tile for tile in plan.tiles if tile.index not in merge]
    fresh = in_batches(plan, missing, points, seed, size)
    merge.take_all(fresh, lambda *_: None, lambda: False)
    assert merge.done == len(plan.tiles)
    return collector


@given(
    seed=st.integers(0, 2**32),
    width=st.integers(100, 700),
    height=st.integers(100, 700),
    sizes=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    done=st.lists(st.integers(0, 40), unique=True, max_size=20),
    rows=st.integers(1, 60),
)
@settings(max_examples=60, deadline=None)
def test_what_was_done_before_and_in_which_order_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    width: int,
    height: int,
    sizes: tuple[int, int],
    done: list[int],
    rows: int,
) -> None:
    plan = plan_for(width, height)
    points = nuclei(np.random.default_rng(seed), plan, 40)
    whole = run(plan, points, seed, sizes[0], MemorySpool(), None)
    folder = tmp_path_factory.mktemp("merge")
    with TileLog(folder / "log") as log:
        for index in done:
            if index < len(plan.tiles):
                log.append([(index, report(plan.tiles[index], plan, points, seed))], 0.0)
    with TileLog(folder / "log") as log:
        pieces = run(plan, points, seed, sizes[1], FileSpool(folder / "spool"), log)
        assert len(log) == len(plan.tiles)
    assert pieces.table().equals(whole.table())
    assert len(whole.table()) >= len(points)
    assert pieces.class_counts == whole.class_counts
    parts = list(pieces.tables(rows))
    assert sum(map(len, parts)) == pieces.count
    features = [f for f in pieces.features() if f is not None]
    expected = [f for f in whole.features() if f is not None]
    np.testing.assert_array_equal(np.concatenate(features), np.concatenate(expected))
