from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.nuclei.formats.polygons import centres, polygon_centres


def area_weighted(polygons: list[list[list[tuple[float, float]]]]) -> tuple[float, float]:
    """The same by the shoelace formula, ring by ring; holes are negative."""
    total, sx, sy = Fraction(0), Fraction(0), Fraction(0)
    for polygon in polygons:
        for k, ring in enumerate(polygon):
            area = cx = cy = Fraction(0)
            exact = [(Fraction(x), Fraction(y)) for x, y in ring]
            for (x0, y0), (x1, y1) in pairwise([*exact, exact[0]]):
                cross = x0 * y1 - x1 * y0
                area += cross / 2
                cx += (x0 + x1) * cross / 6
                cy += (y0 + y1) * cross / 6
            sign = (1 if area > 0 else -1) * (1 if k == 0 else -1)
            total, sx, sy = total + sign * area, sx + sign * cx, sy + sign * cy
    return float(sx / total), float(sy / total)


def box(x: float, y: float, w: float, h: float) -> list[tuple[float, float]]:
    return [(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)]


sizes = st.floats(1, 50)
places = st.floats(0, 1e4)


@settings(deadline=None)
@given(st.lists(st.tuples(places, places, sizes, sizes), min_size=1, max_size=6), st.data())
def test_against_the_shoelace_formula(boxes: Any, data: st.DataObject) -> None:
    owners = sorted(
        data.draw(st.lists(st.integers(0, 3), min_size=len(boxes), max_size=len(boxes)))
    )
    parts = [[box(x, y, w, h), box(x + w / 4, y + h / 4, w / 2, h / 8)] for x, y, w, h in boxes]
    got = polygon_centres(parts, owners, 4)
    for i in range(4):
        own = [p for p, o in zip(parts, owners, strict=True) if o == i]
        if own:
            assert np.allclose(got[i], area_weighted(own), rtol=0, atol=1e-3)
        else:
            assert np.isnan(got[i]).all()


def test_an_l_and_two_parts_by_hand() -> None:
    # Squares of 4 and 4 around (1, 1) and (3, 1), and 4 around (1, 3): the middle is at 5/3.
    ell = [[0, 0], [4, 0], [4, 2], [2, 2], [2, 4], [0, 4], [0, 0]]
    got = polygon_centres([[ell], [box(0, 0, 2, 2)], [box(10, 0, 6, 2)]], [0, 1, 1], 2)
    assert got[0] == pytest.approx([5 / 3, 5 / 3])
    assert got[1] == pytest.approx([(4 * 1 + 12 * 13) / 16, 1])


def test_degenerate_outlines_have_a_place() -> None:
    parts: list[list[Any]] = [
        [[[5, 7]]],
        [[[0, 0], [4, 2]]],
        [[[0, 0], [4, 0], [0, 0], [4, 0]]],
        [[[0, 0, 9], [2, 0, 9], [2, 2, 9], [0, 2, 9], [0, 0, 9]]],
        [],
        [[]],
    ]
    got = polygon_centres(parts, list(range(6)), 6)
    assert got[:4].tolist() == [[5, 7], [2, 1], [2, 0], [1, 1]]
    assert np.isnan(got[4:]).all()


def test_an_outline_that_crosses_itself_stays_within_its_bounds() -> None:
    # Two loops of opposite orientation and nearly equal area: the centroid is far away.
    crossing = [[0, 0], [10, 10], [10, 0], [0, 10.01], [0, 0]]
    assert abs(shapely.centroid(shapely.Polygon(crossing)).x) > 100
    x, y = polygon_centres([[crossing]], [0], 1)[0]
    assert 0 <= x <= 10
    assert 0 <= y <= 10.01


def test_geometries_of_all_kinds() -> None:
    shapes = shapely.from_wkt(
        [
            "POINT (1 2)",
            "MULTIPOINT ((0 0), (4 2))",
            "LINESTRING (0 0, 2 0)",
            "POLYGON EMPTY",
            "POLYGON Z ((0 0 5, 2 0 5, 2 2 5, 0 2 5, 0 0 5))",
        ]
    )
    got = centres(np.array([*shapes, None], dtype=object))
    assert got[[0, 1, 2, 4]].tolist() == [[1, 2], [2, 1], [1, 0], [1, 1]]
    assert np.isnan(got[[3, 5]]).all()


def test_wrongly_nested_coordinates_are_refused() -> None:
    for parts in ([[1, 2]], [[[1, 2]]], [[[["a", "b"], ["c", "d"], ["e", "f"]]]], [[[[1]] * 3]]):
        with pytest.raises((TypeError, ValueError, IndexError)):
            polygon_centres(parts, [0], 1)


def test_an_empty_point_among_others_loses_its_own_geometry_alone() -> None:
    odd = shapely.from_wkt("MULTIPOINT ((1 1), EMPTY)")
    found = centres(np.array([shapely.Point(3, 4), odd, None], dtype=object))
    assert found[0].tolist() == [3, 4]
    assert np.isnan(found[2]).all()
    assert found[1].tolist() == [1, 1] or np.isnan(found[1]).all()
