from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.detect.area import SearchArea
from muse_core.detect.config import DetectConfig
from muse_core.detect.plan import TilePlan, plan_tiles
from muse_core.errors import UserError
from muse_core.slides import PolygonRegion, Region

from .cells import each

configs = st.builds(
    lambda core, halo, cell: DetectConfig(
        tile_px=32 * (core + 2 * halo), halo_px=32 * halo, cell_px=32 * cell
    ),
    st.integers(4, 24),
    st.integers(0, 3),
    st.integers(4, 12),
)


def owners(plan: TilePlan, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Number of tiles whose half-open cells contain each model-pixel point."""
    count = np.zeros(len(x), dtype=int)
    for tile in plan.tiles:
        x0 = plan.x_px + tile.column * plan.cell_w_px
        y0 = plan.y_px + tile.row * plan.cell_h_px
        x1, y1 = x0 + tile.columns * plan.cell_w_px, y0 + tile.rows * plan.cell_h_px
        count += (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    inside = (x < plan.x_px + plan.width_px) & (y < plan.y_px + plan.height_px)
    return count * inside


@given(
    x=st.floats(0, 900),
    y=st.floats(0, 900),
    w=st.floats(0.5, 3000),
    h=st.floats(0.5, 3000),
    scale=st.sampled_from([1.0, 0.5 / 0.499, 0.5 / 0.2527, 0.5 / 0.9]),
    config=configs,
)
@settings(max_examples=150, deadline=None)
def test_each_pixel_of_the_region_belongs_to_exactly_one_core_inside_what_is_read(
    x: float, y: float, w: float, h: float, scale: float, config: DetectConfig
) -> None:
    region = Region(x, y, w, h)
    plan = plan_tiles(SearchArea.within(5000, 5000, region), scale, config)
    gx, gy = np.meshgrid(
        np.linspace(region.x, region.x1, 41, endpoint=False),
        np.linspace(region.y, region.y1, 41, endpoint=False),
    )
    assert (owners(plan, gx.ravel() / scale, gy.ravel() / scale) == 1).all()
    assert plan.x_px % 32 == plan.y_px % 32 == plan.cell_w_px % 32 == plan.cell_h_px % 32 == 0
    for tile in plan.tiles:
        assert tile.x_px + plan.halo_px == plan.x_px + tile.column * plan.cell_w_px
        assert tile.y_px + plan.halo_px == plan.y_px + tile.row * plan.cell_h_px
        read, cell = plan.read_region(tile), plan.tile_region(tile)
        height, width = plan.read_size(tile)
        assert max(height, width) <= (config.tile_px or 0)
        assert (round(read.h / scale), round(read.w / scale)) == (height, width)
        assert read.x <= cell.x
        assert read.x1 >= cell.x1 - 1e-6
        assert read.y <= cell.y
        assert read.y1 >= cell.y1 - 1e-6


@given(width=st.integers(1, 700), config=configs)
def test_integer_regions_are_parted_pixel_by_pixel(width: int, config: DetectConfig) -> None:
    plan = plan_tiles(SearchArea.within(width, 1, None), 1.0, config)
    pixels = np.arange(width)
    assert (owners(plan, pixels, np.zeros(width)) == 1).all()


def test_a_small_region_gets_one_small_tile() -> None:
    area = SearchArea.within(9000, 9000, Region(1000, 2000, 100, 60))
    plan = plan_tiles(area, 1.0, DetectConfig())
    assert len(plan.tiles) == 1
    # 1000 = 31 * 32 + 8, 2000 = 62 * 32 + 16: the aligned start adds to the size.
    assert (plan.cell_w_px, plan.cell_h_px) == (128, 96)


def test_tiles_of_a_grid_are_no_larger_than_the_area() -> None:
    config = DetectConfig(halo_px=64, cell_px=384)
    plan = plan_tiles(SearchArea.within(900, 900, None), 1.0, config)
    assert (plan.rows, plan.columns) == (3, 3)
    assert plan.cell_w_px == 448
    # A tile may have two of them. Pixels outside the area are not read.
    assert [(t.rows, t.columns) for t in plan.tiles] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert plan.read_size(plan.tiles[-1]) == (928 - 448 + 128, 928 - 448 + 128)


def test_the_last_tile_of_a_wide_slide_has_not_drifted() -> None:
    scale = 0.5 / 0.2527
    plan = plan_tiles(SearchArea.within(200_000, 500, None), scale, DetectConfig())
    last = plan.tiles[-1]
    assert plan.read_region(last).x == last.x_px * (0.5 / 0.2527)
    assert last.x_px == plan.x_px + last.column * plan.cell_w_px - plan.halo_px
    assert last.column + last.columns == plan.columns > 200


def test_padded_tiles_are_read_as_before_and_are_another_plan() -> None:
    area = SearchArea.within(9000, 9000, None)
    ragged = each(lambda core: (core.x - 4500) ** 2 + (core.y - 4500) ** 2 < 4000**2)
    plan = plan_tiles(area, 1.0, DetectConfig(), ragged).outwards(None)
    shared = plan.with_shared_sizes()
    seen = {shared.network_size(tile) for tile in plan.tiles}
    assert len(seen) < len({plan.network_size(tile) for tile in plan.tiles})
    for tile in plan.tiles:
        assert shared.read_region(tile) == plan.read_region(tile)
        assert shared.network_size(tile) >= plan.network_size(tile) == plan.read_size(tile)
    assert plan.digest() != shared.digest() == plan.with_shared_sizes().digest()
    assert shared.network_px > plan.network_px


def test_tiles_without_tissue_are_left_out() -> None:
    area = SearchArea.within(2000, 2000, None)
    plan = plan_tiles(area, 1.0, DetectConfig(), each(lambda core: core.x >= 500))
    assert plan.tiles
    assert all(tile.column > 0 for tile in plan.tiles)
    assert [tile.index for tile in plan.tiles] == list(range(len(plan.tiles)))


@given(
    angle=st.floats(0, 6.28),
    size=st.floats(30, 900),
    cx=st.floats(100, 1900),
    cy=st.floats(100, 1900),
)
@settings(max_examples=60, deadline=None)
def test_the_tiles_of_a_polygon_hold_all_its_points(
    angle: float, size: float, cx: float, cy: float
) -> None:
    turns = angle + np.array([0.0, 2.0, 2.2, 4.5])
    polygon = PolygonRegion(
        tuple(zip(cx + size * np.cos(turns), cy + size * np.sin(turns), strict=True))
    )
    area = SearchArea.within(2000, 2000, polygon)
    plan = plan_tiles(area, 1.0, DetectConfig(tile_px=256, halo_px=32))
    gx, gy = (g.ravel() for g in np.meshgrid(np.arange(0.5, 2000, 9), np.arange(0.5, 2000, 9)))
    inside = area.contains(gx, gy)
    assert (owners(plan, gx[inside], gy[inside]) == 1).all()


def test_a_thin_polygon_touches_only_the_tiles_it_crosses() -> None:
    # A sliver along the diagonal has no vertex and no centre in most tiles that it crosses.
    sliver = PolygonRegion(((10, 10), (1990, 1985), (1985, 1990)))
    area = SearchArea.within(2000, 2000, sliver)
    plan = plan_tiles(area, 1.0, DetectConfig(tile_px=256, halo_px=0))
    assert {(t.row, t.column) for t in plan.tiles} >= {(i, i) for i in range(plan.rows)}
    assert len(plan.tiles) < plan.rows * 3


def test_a_rectangle_inside_a_polygon_touches_it() -> None:
    area = SearchArea.within(500, 500, PolygonRegion(((0, 0), (500, 0), (500, 500), (0, 500))))
    assert area.touches(Region(200, 200, 10, 10))


def test_a_polygon_with_a_notch_does_not_touch_a_rectangle_in_the_notch() -> None:
    notched = PolygonRegion(
        ((0, 0), (300, 0), (300, 100), (50, 150), (300, 200), (300, 300), (0, 300))
    )
    area = SearchArea.within(500, 500, notched)
    assert not area.touches(Region(200, 140, 50, 20))
    assert area.touches(Region(20, 140, 50, 20))


def test_several_shapes_are_a_union() -> None:
    area = SearchArea.within(
        100, 100, [Region(0, 0, 10, 10), Region(5, 5, 10, 10), Region(500, 500, 9, 9)]
    )
    inside = area.contains(np.array([1.0, 7.0, 12.0, 20.0]), np.array([1.0, 7.0, 12.0, 20.0]))
    assert inside.tolist() == [True, True, True, False]
    assert area.bounds == Region(0, 0, 15, 15)


def test_a_region_outside_the_slide_is_refused() -> None:
    with pytest.raises(UserError, match="outside the slide, which is 100 x 50 px"):
        SearchArea.within(100, 50, Region(100, 0, 10, 10))


@pytest.mark.parametrize(
    "settings_",
    [
        {"device": "tpu"},
        {"tile_px": 1000},
        {"halo_px": 30},
        {"tile_px": 256, "halo_px": 96},
        {"cell_px": 96},
        {"precision": "bfloat8"},
        {"min_score": 1.5},
        {"batch": 0},
        {"readers": 0},
        {"seam_radius_um": 0.0},
        {"min_tissue": 1.0},
    ],
)
def test_impossible_settings_are_refused(settings_: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        DetectConfig(**settings_)


def test_islands_of_tissue_get_small_tiles_and_solid_tissue_large_ones() -> None:
    area = SearchArea.within(8192, 8192, None)
    config = DetectConfig(tile_px=2368, halo_px=64)
    solid = plan_tiles(area, 1.0, config)
    assert len(solid.tiles) == 16
    assert solid.core_px == area.bounds.area_px
    assert solid.network_px == (8192 + 4 * 128) ** 2
    island = Region(4000, 4000, 100, 100)
    islands = plan_tiles(area, 1.0, config, each(lambda core: core.intersect(island) is not None))
    assert islands.network_px < 1.5e6
    # Two of them at the far ends of what would be one tile.
    far = [Region(10, 10, 100, 100), Region(1900, 1900, 100, 100)]
    apart = plan_tiles(
        area, 1.0, config, each(lambda core: any(core.intersect(one) is not None for one in far))
    )
    assert len(apart.tiles) == 2
    assert all(max(plan_side) <= 320 for plan_side in map(apart.core_size, apart.tiles))


@given(
    seed=st.integers(0, 2**32), share=st.floats(0, 1), cells=st.tuples(*[st.integers(1, 12)] * 2)
)
@settings(max_examples=60, deadline=None)
def test_tiles_cover_all_cells_with_tissue_with_fewer_pixels_than_cell_by_cell(
    seed: int, share: float, cells: tuple[int, int]
) -> None:
    chosen = np.random.default_rng(seed).random(cells) < share
    config = DetectConfig(tile_px=640, halo_px=64, cell_px=128)

    def worth(core: Region) -> bool:
        return bool(chosen[round(core.y / 128), round(core.x / 128)])

    area = SearchArea.within(128 * cells[1], 128 * cells[0], None)
    plan = plan_tiles(area, 1.0, config, each(worth))
    assert (plan.rows, plan.columns) == cells
    count = np.zeros(cells, dtype=int)
    for tile in plan.tiles:
        count[tile.cells] += 1
    assert count.max(initial=0) <= 1
    assert (count[chosen] == 1).all()
    assert plan.network_px <= chosen.sum() * 256**2
    for tile in plan.tiles:
        # No row or column of a tile is all glass at its border.
        inside = chosen[tile.cells]
        assert inside[[0, -1]].any(axis=1).all()
        assert inside[:, [0, -1]].any(axis=0).all()


def test_tiles_are_taken_outwards_from_the_focus() -> None:
    config = DetectConfig(tile_px=192, halo_px=32)
    plan = plan_tiles(SearchArea.within(1000, 800, None), 2.0, config)
    x, y = 610.0, 330.0
    ordered = plan.outwards((x, y))
    assert [tile.index for tile in ordered.tiles] == list(range(len(plan.tiles)))
    assert {(t.row, t.column, t.x_px, t.y_px) for t in ordered.tiles} == {
        (t.row, t.column, t.x_px, t.y_px) for t in plan.tiles
    }
    cells = [plan.tile_region(tile) for tile in ordered.tiles]
    assert cells[0].x <= x < cells[0].x1
    assert cells[0].y <= y < cells[0].y1
    far = [np.hypot(max(c.x - x, x - c.x1, 0), max(c.y - y, y - c.y1, 0)) for c in cells]
    assert far == sorted(far)
    assert plan.outwards(None) == plan
    # Stored results of a run are numbered in its own order.
    assert ordered.digest() != plan.digest()


@pytest.mark.parametrize("focus", [None, (0.0, 0.0), (2500.0, 1300.0), (9000.0, -50.0)])
def test_the_first_tile_is_small_and_near_the_focus(focus: tuple[float, float] | None) -> None:
    plan = plan_tiles(SearchArea.within(4000, 3000, None), 1.0, DetectConfig(tile_px=2048))
    ordered = plan.outwards(focus)
    first = ordered.tiles[0]
    assert max(ordered.core_size(first)) <= 512
    x, y = focus or (0.0, 0.0)
    cell = ordered.tile_region(first)
    near = min(max(x, 0.0), 3999.0), min(max(y, 0.0), 2999.0)
    assert cell.contains(*near)
    count = np.zeros((plan.rows, plan.columns), dtype=int)
    for tile in ordered.tiles:
        count[tile.cells] += 1
    assert (count == 1).all()
    assert len(ordered.tiles) <= len(plan.tiles) + 4
    assert TilePlan(**{**vars(plan), "tiles": ()}).outwards(focus).tiles == ()
