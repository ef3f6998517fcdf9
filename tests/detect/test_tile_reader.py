"""What is read of a tile of which some pixels cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muse_core.detect import tile_reader
from muse_core.detect.area import SearchArea
from muse_core.detect.plan import TilePlan, plan_tiles
from muse_core.detect.tile_reader import TileReader
from muse_core.slides import Region, Slide

from .dot_runs import DAMAGED, SMALL_TILES, BrokenReads


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_reader, "TRY_TILE_AGAIN_AFTER_S", (0.0, 0.0))


def plan_of(slide: Slide) -> TilePlan:
    area = SearchArea.within(slide.width, slide.height, None)
    return plan_tiles(area, 1.0, SMALL_TILES)


@given(
    number=st.integers(0, 200),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    w=st.floats(0.01, 0.9),
    h=st.floats(0.01, 0.9),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_that_can_be_read_is_there_and_the_rest_is_white_and_told(
    slide: Slide, number: int, x: float, y: float, w: float, h: float
) -> None:
    plan = plan_of(slide)
    tile = plan.tiles[number % len(plan.tiles)]
    region = plan.read_region(tile)
    hole = Region(region.x + x * region.w, region.y + y * region.h, w * region.w, h * region.h)
    image, told = TileReader(BrokenReads(slide, hole, DAMAGED), plan, True).read(tile)
    whole, nothing = TileReader(slide, plan, True).read(tile)
    assert nothing == ()
    assert image is not None
    assert whole is not None
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    at = region.x + columns, region.y + rows
    lost = np.zeros(image.shape[:2], dtype=bool)
    for place in told:
        assert slide.bounds.holds(place.region)
        lost |= place.region.contains(*at)
    inside = slide.bounds.contains(*at)
    assert not (hole.contains(*at) & inside & ~lost).any()
    read = (image == whole).all(axis=2)
    assert read[inside & ~lost].all()
    assert (image[hole.contains(*at)] == 255).all()
    # A piece is at most a sixteenth of the tile, and has a part in the hole.
    near = Region(hole.x - 12, hole.y - 12, hole.w + 24, hole.h + 24)
    assert not (lost & ~near.contains(*at)).any()


def test_a_tile_of_which_nothing_can_be_read_is_given_up_early(slide: Slide) -> None:
    plan = plan_of(slide)
    tile = next(t for t in plan.tiles if slide.bounds.holds(plan.read_region(t)))
    broken = BrokenReads(slide, slide.bounds, DAMAGED)
    image, told = TileReader(broken, plan, True).read(tile)
    assert image is None
    (place,) = told
    assert place.region == plan.read_region(tile)
    # Three times as a whole, then in 2 x 2, 4 x 4 and 8 x 8 pieces.
    assert sum(broken.tries.values()) == 3 + 4 + 16 + 64


def test_a_disk_that_takes_long_for_each_piece_is_not_asked_for_all(
    slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_reader, "_SEARCH_S", 0.0)
    plan = plan_of(slide)
    broken = BrokenReads(slide, Region(100, 100, 9, 9), DAMAGED)
    image, told = TileReader(broken, plan, True).read(plan.tiles[0])
    assert image is None
    assert len(told) == 1
    assert sum(broken.tries.values()) == 3
