from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
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
        # A right edge is x + w, rounded to the precision of a float of its size.
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


def by_rays(vertices: list[tuple[int, int]], x: Fraction, y: Fraction) -> bool:
    """Even-odd rule in exact arithmetic; an edge includes its upper end and what is left of it."""
    crossed = 0
    for (xa, ya), (xb, yb) in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
        if (y < ya) != (y < yb):
            crossed += x < xa + Fraction(xb - xa, yb - ya) * (y - ya)
    return crossed % 2 == 1


@given(
    st.lists(st.tuples(*[st.integers(0, 6)] * 2), min_size=3, max_size=8),
    st.lists(st.tuples(*[st.integers(-2, 14)] * 2), min_size=1),
)
def test_any_polygon_holds_what_rays_say(
    vertices: list[tuple[int, int]], halves: list[tuple[int, int]]
) -> None:
    """For self-crossing outlines too, and for points on edges and corners."""
    assume(min(len({v[axis] for v in vertices}) for axis in (0, 1)) > 1)
    x, y = np.array(halves, float).T / 2
    expected = [by_rays(vertices, Fraction(u, 2), Fraction(v, 2)) for u, v in halves]
    assert PolygonRegion(tuple(vertices)).contains(x, y).tolist() == expected


def test_polygon_touches_where_an_edge_or_its_inside_does() -> None:
    star = PolygonRegion(((0, 30), (100, 30), (20, 100), (50, 0), (80, 100)))
    assert star.touches(Region(-10, 20, 12, 20))
    assert not star.touches(Region(-10, 20, 5, 5))
    assert star.touches(Region(-10, -10, 200, 200))
    # Its middle is crossed twice, and so is outside.
    assert not star.touches(Region(48, 45, 4, 4))
    assert star.touches(Region(49, 15, 2, 2))


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
