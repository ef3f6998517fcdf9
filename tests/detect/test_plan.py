from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.detect.area import SearchArea
from muse_core.detect.config import DetectConfig
from muse_core.detect.plan import TilePlan, cheapest_plan, plan_tiles
from muse_core.errors import UserError
from muse_core.slides import PolygonRegion, Region

configs = st.builds(
    lambda core, halo: DetectConfig(tile_px=32 * (core + 2 * halo), halo_px=32 * halo),
    st.integers(4, 12),
    st.integers(0, 3),
)


def owners(plan: TilePlan, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How many tiles' half-open cells hold each model-pixel point."""
    count = np.zeros(len(x), dtype=int)
    for tile in plan.tiles:
        x0 = plan.x_px + tile.column * plan.cell_w_px
        y0 = plan.y_px + tile.row * plan.cell_h_px
        count += (x >= x0) & (x < x0 + plan.cell_w_px) & (y >= y0) & (y < y0 + plan.cell_h_px)
    return count


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
    assert max(plan.cell_w_px, plan.cell_h_px) <= config.core_px
    for tile in plan.tiles:
        assert tile.x_px + plan.halo_px == plan.x_px + tile.column * plan.cell_w_px
        assert tile.y_px + plan.halo_px == plan.y_px + tile.row * plan.cell_h_px
        read, cell = plan.read_region(tile), plan.cell_region(tile.row, tile.column)
        assert round(read.w / scale) == plan.read_w_px
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


def test_cells_are_of_even_size_rather_than_full_ones_and_a_rest() -> None:
    plan = plan_tiles(SearchArea.within(900, 900, None), 1.0, DetectConfig())
    assert (plan.rows, plan.columns) == (2, 2)
    assert plan.cell_w_px == 480


def test_the_last_tile_of_a_wide_slide_has_not_drifted() -> None:
    scale = 0.5 / 0.2527
    plan = plan_tiles(SearchArea.within(200_000, 500, None), scale, DetectConfig())
    last = plan.tiles[-1]
    assert plan.read_region(last).x == last.x_px * (0.5 / 0.2527)
    assert last.x_px == plan.x_px + (plan.columns - 1) * plan.cell_w_px - plan.halo_px


def test_tiles_without_tissue_are_left_out() -> None:
    area = SearchArea.within(2000, 2000, None)
    plan = plan_tiles(area, 1.0, DetectConfig(), lambda core: core.x >= 500)
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


def test_islands_of_tissue_get_smaller_tiles_and_solid_tissue_large_ones() -> None:
    area = SearchArea.within(8192, 8192, None)
    config = DetectConfig(tile_px=1024, halo_px=64)
    solid = cheapest_plan(area, 1.0, config)
    assert solid.read_w_px > 768
    island = Region(4000, 4000, 100, 100)
    islands = cheapest_plan(area, 1.0, config, lambda core: core.intersect(island) is not None)
    assert islands.read_w_px <= 512
    assert 1 <= len(islands.tiles) <= 4


def test_tiles_are_taken_outwards_from_the_focus() -> None:
    config = DetectConfig(tile_px=192, halo_px=32)
    plan = plan_tiles(SearchArea.within(1000, 800, None), 2.0, config)
    x, y = 610.0, 330.0
    ordered = plan.outwards((x, y))
    assert [tile.index for tile in ordered.tiles] == list(range(len(plan.tiles)))
    assert {(t.row, t.column, t.x_px, t.y_px) for t in ordered.tiles} == {
        (t.row, t.column, t.x_px, t.y_px) for t in plan.tiles
    }
    cells = [plan.cell_region(tile.row, tile.column) for tile in ordered.tiles]
    assert cells[0].x <= x < cells[0].x1
    assert cells[0].y <= y < cells[0].y1
    far = [np.hypot(c.x + c.w / 2 - x, c.y + c.h / 2 - y) for c in cells]
    assert far == sorted(far)
    assert plan.outwards(None) is plan
    # What is kept of a run is numbered in its own order.
    assert ordered.digest() != plan.digest()
