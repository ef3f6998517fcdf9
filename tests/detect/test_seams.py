from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muse_core.detect.area import SearchArea
from muse_core.detect.config import DetectConfig
from muse_core.detect.plan import Tile, TilePlan, plan_tiles
from muse_core.detect.seams import SeamMerger
from muse_core.errors import UserError
from muse_core.models.tile_detections import TileDetections
from muse_core.slides import Region

from .cells import each

RADIUS = 4.0
JITTER = 0.99  # below a quarter of the radius
SPACING = 4.1  # nuclei are just farther apart than the radius
N_IDENTITIES = 2000


def plan_for(
    width: int,
    height: int,
    skip: frozenset[tuple[int, int]] = frozenset(),
    tile_px: int = 192,
    focus: tuple[float, float] | None = None,
) -> TilePlan:
    config = DetectConfig(tile_px=tile_px, halo_px=32, cell_px=128)
    full = plan_tiles(SearchArea.within(width, height, None), 1.0, config)
    skipped = {(r, c) for r, c in skip if r < full.rows and c < full.columns}
    skipped = skipped if full.rows * full.columns > len(skipped) else set()
    boxes = [full.tile_region(Tile(0, *cell, 0, 0)) for cell in skipped]

    def worth(core: Region) -> bool:
        return not any(box.x == core.x and box.y == core.y for box in boxes)

    plan = plan_tiles(SearchArea.within(width, height, None), 1.0, config, each(worth))
    return plan if focus is None else plan.outwards(focus)


def nuclei(rng: np.random.Generator, plan: TilePlan, n: int) -> np.ndarray:
    """Points on a jittered lattice, many on seams and corners, none closer than SPACING."""
    w, h = plan.width_px, plan.height_px
    seam_x = rng.integers(0, plan.columns + 1, n) * plan.cell_w_px
    seam_y = rng.integers(0, plan.rows + 1, n) * plan.cell_h_px
    spread = rng.choice([0.0, 1.0, 6.0], (n, 1))
    candidates = np.concatenate(
        [
            np.column_stack([seam_x, seam_y]) + spread * rng.normal(size=(n, 2)),
            np.column_stack([seam_x, rng.uniform(0, h, n)]),
            np.column_stack([rng.uniform(0, w, n), seam_y]),
            rng.uniform(0, (w, h), (n, 2)),
        ]
    )
    rng.shuffle(candidates)
    kept: list[np.ndarray] = []
    for p in candidates:
        if (p >= 0).all() and (p < (w, h)).all():
            near = np.array(kept).reshape(-1, 2) - p
            if (np.hypot(*near.T) > SPACING).all():
                kept.append(p)
    return np.array(kept).reshape(-1, 2)


def reports(
    x: np.ndarray, y: np.ndarray, score: np.ndarray, identity: np.ndarray
) -> TileDetections:
    """Reports of nuclei; the class index identifies them."""
    probs = np.zeros((len(x), N_IDENTITIES), dtype=np.float32)
    probs[np.arange(len(x)), identity] = 1
    return TileDetections(np.column_stack([x, y]), score.astype(np.float32), probs)


def seen_by(
    tile: Tile, plan: TilePlan, points: np.ndarray, rng: np.random.Generator
) -> TileDetections:
    """All nuclei in a tile's read area, slightly displaced; the class index identifies them."""
    low = np.array([tile.x_px, tile.y_px])
    high = low + np.array(plan.read_size(tile)[::-1])
    visible = np.flatnonzero(((points >= low) & (points < high)).all(axis=1))
    angle, far = rng.uniform(0, 2 * np.pi, len(visible)), rng.uniform(0, JITTER, len(visible))
    moved = points[visible] + np.column_stack([np.cos(angle), np.sin(angle)]) * far[:, None]
    score = rng.choice([0.5, 0.7, 0.9], len(visible)).astype(np.float32)
    return reports(moved[:, 0], moved[:, 1], score, visible)


def merge(
    plan: TilePlan, seen: dict[int, TileDetections], order: list[int]
) -> tuple[TileDetections, int]:
    merger = SeamMerger(plan, RADIUS)
    parts = [merger.add(plan.tiles[i], seen[i]) for i in order]
    held = merger.held
    return TileDetections.join([*parts, merger.flush()]), held


def as_set(found: TileDetections) -> set[tuple[float, float, float, int]]:
    return set(
        zip(
            found.x.tolist(),
            found.y.tolist(),
            found.score.tolist(),
            found.class_index.tolist(),
            strict=True,
        )
    )


# Two nuclei near a corner, each of which only one of two tiles reports, 2.5 px apart.
@example(seed=66913018, width=289, height=129, skip=frozenset(), tile_px=192, focus=None)
@given(
    seed=st.integers(0, 2**32),
    width=st.integers(100, 600),
    height=st.integers(100, 600),
    skip=st.frozensets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=3),
    tile_px=st.sampled_from([192, 320, 448]),
    focus=st.none() | st.tuples(st.floats(-50, 700), st.floats(-50, 700)),
)
@settings(max_examples=120, deadline=None)
def test_every_nucleus_comes_out_once_whatever_the_order_of_tiles(
    seed: int,
    width: int,
    height: int,
    skip: frozenset[tuple[int, int]],
    tile_px: int,
    focus: tuple[float, float] | None,
) -> None:
    rng = np.random.default_rng(seed)
    plan = plan_for(width, height, skip, tile_px, focus)
    points = nuclei(rng, plan, 60)
    seen = {tile.index: seen_by(tile, plan, points, rng) for tile in plan.tiles}
    outcomes = []
    for _ in range(3):
        order = rng.permutation(len(plan.tiles)).tolist()
        merged, held = merge(plan, seen, order)
        assert held == 0
        outcomes.append(merged)
    # Every nucleus in a planned cell is reported; in skipped cells only those of neighbours.
    identities = outcomes[0].class_index
    assert len(set(identities.tolist())) == len(identities)
    planned = plan.planned()
    row = (points[:, 1] // plan.cell_h_px).astype(int)
    column = (points[:, 0] // plan.cell_w_px).astype(int)
    assert set(np.flatnonzero(planned[row, column])) <= set(identities.tolist())
    assert as_set(outcomes[0]) == as_set(outcomes[1]) == as_set(outcomes[2])


def check_against_the_rule(
    seed: int,
    tile_px: int,
    cell_px: int,
    halo_px: int,
    corner: tuple[int, int],
    size: tuple[int, int],
) -> None:
    """Each nucleus is reported once, by the best report of the rule.

    The rule, by brute force: of all reports of a nucleus by tiles within whose margin they lie, the
    one of the highest score is kept; of equal ones that of the earlier tile.
    """
    rng = np.random.default_rng(seed)
    config = DetectConfig(tile_px=tile_px, halo_px=halo_px, cell_px=cell_px)
    region = Region(*corner, *size)
    area = SearchArea.within(corner[0] + size[0] + 100, corner[1] + size[1] + 100, region)
    plan = plan_tiles(area, 1.0, config)
    points = nuclei(rng, plan, 40) + np.array([plan.x_px, plan.y_px])
    seen = {tile.index: seen_by(tile, plan, points, rng) for tile in plan.tiles}
    best: dict[int, tuple[float, int, float, float]] = {}
    for tile in plan.tiles:
        found = seen[tile.index]
        left = plan.x_px + tile.column * plan.cell_w_px - RADIUS
        top = plan.y_px + tile.row * plan.cell_h_px - RADIUS
        for x, y, score, who in zip(
            found.x, found.y, found.score, found.class_index.tolist(), strict=True
        ):
            inside = left <= x < left + tile.columns * plan.cell_w_px + 2 * RADIUS
            if inside and top <= y < top + tile.rows * plan.cell_h_px + 2 * RADIUS:
                best[who] = max(best.get(who, (-1, 0, 0, 0)), (score, -tile.index, x, y))
    expected = {(x, y, score, who) for who, (score, _, x, y) in best.items()}
    merged, held = merge(plan, seen, rng.permutation(len(plan.tiles)).tolist())
    assert held == 0
    assert len(merged) == len(expected) >= len(points)
    assert as_set(merged) == expected


_ANY_PLAN = {
    "seed": st.integers(0, 2**32),
    "tile_px": st.sampled_from([192, 224, 256, 320, 512]),
    "cell_px": st.sampled_from([128, 160, 384]),
    "halo_px": st.just(32),
    "corner": st.tuples(st.integers(0, 500), st.integers(0, 500)),
    "size": st.tuples(st.integers(40, 700), st.integers(40, 700)),
}


@given(**_ANY_PLAN)
@settings(max_examples=60, deadline=None)
def test_any_tiles_at_any_place_in_any_order(**plan: Any) -> None:
    check_against_the_rule(**plan)


@pytest.mark.slow
@given(**_ANY_PLAN)
@settings(max_examples=5000, deadline=None)
def test_thousands_of_tilings(**plan: Any) -> None:
    check_against_the_rule(**plan)


def test_the_best_report_of_a_nucleus_on_a_corner_is_the_one_kept() -> None:
    plan = plan_for(256, 256)
    corner = np.array([[plan.cell_w_px, plan.cell_h_px]], dtype=float)
    assert len(plan.tiles) == 4
    merger = SeamMerger(plan, RADIUS)
    parts = []
    for tile, score in zip(plan.tiles, (0.4, 0.6, 0.8, 0.7), strict=True):
        x = corner[:, 0] + 0.3 * tile.column
        parts.append(
            merger.add(
                tile,
                reports(x, corner[:, 1], np.array([score], np.float32), np.array([tile.index])),
            )
        )
        assert len(parts[-1]) == (tile.index == 3)
    assert parts[-1].class_index.tolist() == [2]


def test_two_nuclei_closer_than_the_radius_stay_two() -> None:
    plan = plan_for(256, 100)
    seam = float(plan.cell_w_px)
    merger = SeamMerger(plan, RADIUS)
    left, right = plan.tiles
    both = np.array([seam - 1.2, seam + 1.3])
    y = np.array([50.0, 50.0])
    scores = np.array([0.9, 0.8], dtype=np.float32)
    first = merger.add(left, reports(both, y, scores, np.array([0, 1])))
    second = merger.add(right, reports(both + 0.1, y, scores[::-1].copy(), np.array([0, 1])))
    assert len(first) == 0
    assert sorted(second.class_index.tolist()) == [0, 1]


def test_a_nucleus_that_only_one_tile_sees_at_a_seam_is_kept() -> None:
    plan = plan_for(256, 100)
    seam = float(plan.cell_w_px)
    merger = SeamMerger(plan, RADIUS)
    one = reports(
        np.array([seam + 1.0]), np.array([50.0]), np.array([0.9], np.float32), np.array([7])
    )
    parts = [merger.add(plan.tiles[0], one), merger.add(plan.tiles[1], TileDetections.none())]
    assert TileDetections.join(parts).class_index.tolist() == [7]


def test_nuclei_away_from_seams_pass_at_once() -> None:
    plan = plan_for(600, 600)
    tile = plan.tiles[0]
    middle = reports(np.array([60.0]), np.array([60.0]), np.array([0.9], np.float32), np.array([0]))
    merger = SeamMerger(plan, RADIUS)
    assert len(merger.add(tile, middle)) == 1
    assert merger.held == 0


def test_what_is_held_when_a_run_stops_comes_out_once() -> None:
    rng = np.random.default_rng(0)
    plan = plan_for(600, 600)
    points = nuclei(rng, plan, 100)
    first = plan.tiles[: len(plan.tiles) // 2]
    merger = SeamMerger(plan, RADIUS)
    parts = [merger.add(t, seen_by(t, plan, points, rng)) for t in first]
    assert merger.held > 0
    identities = TileDetections.join([*parts, merger.flush()]).class_index.tolist()
    assert len(identities) == len(set(identities))
    cells = {(t.row, t.column) for t in first}
    cell_of = points[:, ::-1] // (plan.cell_h_px, plan.cell_w_px)
    owned = {i for i, cell in enumerate(cell_of.astype(int).tolist()) if tuple(cell) in cells}
    assert owned <= set(identities)
    assert merger.held == 0


def test_evidence_is_forgotten_as_the_front_moves_on() -> None:
    rng = np.random.default_rng(1)
    plan = plan_for(300, 4000)
    points = nuclei(rng, plan, 400)
    merger = SeamMerger(plan, RADIUS)
    most = 0
    for tile in plan.tiles:
        merger.add(tile, seen_by(tile, plan, points, rng))
        most = max(most, len(merger._held))
    assert most <= 3 * plan.columns


def test_a_tile_is_taken_once_only() -> None:
    plan = plan_for(256, 256)
    merger = SeamMerger(plan, RADIUS)
    merger.add(plan.tiles[0], TileDetections.none())
    with pytest.raises(ValueError, match="not awaited"):
        merger.add(plan.tiles[0], TileDetections.none())


def test_a_radius_that_spans_cells_is_refused() -> None:
    with pytest.raises(UserError, match="too large"):
        SeamMerger(plan_for(256, 256), 40.0)
