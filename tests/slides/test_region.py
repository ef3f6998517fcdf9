from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.slides import PolygonRegion, Region

numbers = st.floats(-1e6, 1e6)
sizes = st.floats(1e-3, 1e6)
regions = st.builds(Region, numbers, numbers, sizes, sizes)


def test_parse() -> None:
    assert Region.parse("1290, 1250.5,200,4e2") == Region(1290, 1250.5, 200, 400)


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "0,0,0,5", "0,0,5,-1", "nan,0,1,1", "0,0,inf,1"]
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(UserError, match=r"region"):
        Region.parse(text)


@given(regions, regions)
def test_intersection_lies_in_both_and_is_symmetric(a: Region, b: Region) -> None:
    common = a.intersect(b)
    assert common == b.intersect(a)
    if common is None:
        assert a.x1 <= b.x or b.x1 <= a.x or a.y1 <= b.y or b.y1 <= a.y
    else:
        assert common.x >= max(a.x, b.x)
        assert common.y >= max(a.y, b.y)
        # A right edge is x + w, rounded to what a float of its size can hold.
        assert common.x1 <= min(a.x1, b.x1) + 1e-9
        assert common.y1 <= min(a.y1, b.y1) + 1e-9


def test_touching_regions_have_nothing_in_common() -> None:
    assert Region(0, 0, 10, 10).intersect(Region(10, 0, 5, 5)) is None


def test_adjacent_regions_share_no_point() -> None:
    x = np.array([0.0, 9.999, 10.0, 20.0])
    left = Region(0, 0, 10, 10).contains(x, np.full(4, 5.0))
    right = Region(10, 0, 10, 10).contains(x, np.full(4, 5.0))
    assert left.tolist() == [True, True, False, False]
    assert right.tolist() == [False, False, True, False]


@given(regions, st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)), min_size=1))
def test_rectangle_as_polygon_holds_the_same_points(region: Region, unit: Any) -> None:
    x = np.array([region.x + u * region.w for u, _ in unit])
    y = np.array([region.y + v * region.h for _, v in unit])
    corners = (
        (region.x, region.y),
        (region.x1, region.y),
        (region.x1, region.y1),
        (region.x, region.y1),
    )
    assert np.array_equal(PolygonRegion(corners).contains(x, y), region.contains(x, y))


def test_polygon_concave() -> None:
    # A U: the notch between its arms is outside.
    polygon = PolygonRegion(((0, 0), (2, 0), (2, 6), (4, 6), (4, 0), (6, 0), (6, 8), (0, 8)))
    x, y = np.array([1.0, 3.0, 5.0, 3.0, 7.0]), np.array([1.0, 1.0, 1.0, 7.0, 7.0])
    assert polygon.contains(x, y).tolist() == [True, False, True, True, False]
    assert polygon.bounds == Region(0, 0, 6, 8)
    assert polygon.area_px == 36


def test_polygon_area_agrees_with_points_inside() -> None:
    angle = np.linspace(0, 2 * math.pi, 200, endpoint=False)
    polygon = PolygonRegion(
        tuple((50 + 40 * math.cos(a), 50 + 25 * math.sin(a)) for a in angle.tolist())
    )
    y, x = np.mgrid[0:100, 0:100] + 0.5
    assert polygon.contains(x, y).sum() == pytest.approx(polygon.area_px, rel=0.01)
    assert polygon.area_px == pytest.approx(math.pi * 40 * 25, rel=0.001)


@pytest.mark.parametrize(
    "vertices", [(), ((0, 0), (1, 1)), ((0, 0), (1, 0), (2, 0)), ((0, 0), (math.nan, 1), (1, 1))]
)
def test_polygon_refuses(vertices: Any) -> None:
    with pytest.raises(UserError):
        PolygonRegion(vertices)


def test_a_grown_region_holds_the_first_and_not_the_other_way_round() -> None:
    region = Region(10, 20, 100, 200)
    grown = region.grown(0.5)
    assert (grown.x, grown.y, grown.w, grown.h) == (-40, -80, 200, 400)
    assert grown.holds(region)
    assert region.holds(region)
    assert not region.holds(grown)
    assert not grown.holds(Region(0, 0, 161, 10))
