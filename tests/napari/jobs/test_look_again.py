"""Areas in which another model has to detect again."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from muse_core.slides import PolygonRegion, Region
from napari_muse.jobs.look_again import areas_again

BOUNDS = Region(0, 0, 20_000, 10_000)


def test_where_all_predictions_lie_in_the_last_search_that_is_repeated() -> None:
    last = [Region(100, 100, 500, 500)]
    assert areas_again(np.array([[150.0, 150.0], [590.0, 590.0]]), last, BOUNDS) == last
    assert areas_again(np.array([[9000.0, 9000.0]]), [], BOUNDS) == []


def test_predictions_of_another_day_are_looked_for_around_them() -> None:
    xy = np.array([[150.0, 150.0], [5.0, 400.0], [15_000.0, 9_000.0], [15_100.0, 9_050.0]])
    found = areas_again(xy, None, BOUNDS)
    wanted = [(0, 134, 166, 416), (14_984, 8_984, 15_116, 9_066)]
    boxes = sorted(shapely.Polygon(shape.vertices).bounds for shape in found)
    assert boxes == wanted


def test_of_thousands_of_places_one_area_is_made() -> None:
    y, x = np.mgrid[0:150_000:2048, 0:150_000:2048]
    xy = np.stack([x.ravel(), y.ravel()], axis=1) + 512.0
    (area,) = areas_again(xy, None, Region(0, 0, 200_000, 200_000))
    assert shapely.Polygon(area.vertices).bounds == (496, 496, 150_032, 150_032)


@given(
    st.lists(st.tuples(st.floats(0, 20_000), st.floats(0, 10_000)), min_size=1, max_size=40),
    st.one_of(
        st.none(),
        st.just([Region(3000, 3000, 900, 900)]),
        st.just([PolygonRegion(((0.0, 0.0), (4000.0, 0.0), (0.0, 4000.0)))]),
    ),
)
def test_no_prediction_is_left_out_and_nothing_that_was_looked_at(
    places: list[tuple[float, float]], last: list[Region | PolygonRegion] | None
) -> None:
    found = areas_again(np.array(places), last, BOUNDS)
    polygons = [
        shapely.box(a.x, a.y, a.x1, a.y1) if isinstance(a, Region) else shapely.Polygon(a.vertices)
        for a in found
    ]
    whole = shapely.union_all(polygons)
    assert whole.buffer(1e-6).covers(shapely.multipoints(places))
    for shape in last or ():
        again = areas_again(np.empty((0, 2)), [shape], BOUNDS)
        assert again == [shape]
