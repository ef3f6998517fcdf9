from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point

from muse_core.nuclei.outlines import inside_any, outline_area

BOW_TIE = ((0, 0), (4, 4), (4, 0), (0, 4))


def test_an_outline_that_crosses_itself_has_both_its_halves() -> None:
    area = outline_area(BOW_TIE)
    assert area is not None
    assert area.area == pytest.approx(8)


@pytest.mark.parametrize("line", [((0, 0), (1, 1), (2, 2)), ((0, 0), (0, 0), (0, 0))])
def test_a_line_has_no_area(line: tuple[tuple[float, float], ...]) -> None:
    assert outline_area(line) is None


@given(st.lists(st.tuples(st.floats(-2, 8), st.floats(-2, 8)), max_size=30))
def test_inside_any_is_inside_one_of_them(points: list[tuple[float, float]]) -> None:
    areas = [a for a in (outline_area(BOW_TIE), outline_area(((3, 3), (7, 3), (7, 7)))) if a]
    xy = np.array(points, dtype=float).reshape(-1, 2)
    expected = [any(area.contains(Point(p)) for area in areas) for p in points]
    assert inside_any(areas, xy[:, 0], xy[:, 1]).tolist() == expected
