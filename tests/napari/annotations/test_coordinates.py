from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from napari.layers import Image

from napari_muse.annotations.coordinates import Placement, from_layer, to_layer

NUMBERS = st.floats(-1e6, 1e6, width=64)


def test_the_middle_of_the_first_pixel_is_naparis_origin() -> None:
    assert to_layer([0.5], [0.5]).tolist() == [[0.0, 0.0]]
    assert to_layer([10.5], [20.5]).tolist() == [[20.0, 10.0]]


@given(NUMBERS, NUMBERS)
def test_there_and_back(x: float, y: float) -> None:
    data = to_layer([x], [y])
    np.testing.assert_allclose(np.ravel(from_layer(data)), [x, y], atol=1e-6)


SCALES = st.floats(0.05, 20)


@given(NUMBERS, NUMBERS, SCALES, SCALES, NUMBERS, NUMBERS)
def test_the_world_and_back(
    x: float, y: float, high: float, wide: float, top: float, left: float
) -> None:
    placement = Placement((high, wide), (top, left))
    world = placement.to_world([x], [y])
    np.testing.assert_allclose(world[0], [top + (y - 0.5) * high, left + (x - 0.5) * wide])
    # In a viewer of three axes the first one is ignored.
    for points in (world, np.hstack([[[7.0]], world])):
        np.testing.assert_allclose(np.ravel(placement.from_world(points)), [x, y], atol=1e-4)


def test_a_placement_is_where_napari_puts_the_pixels_of_a_layer() -> None:
    layer = Image(np.zeros((1, 30, 40), np.uint8))
    Placement((0.25, 0.25), (100.0, 200.0), "um").apply(layer)
    placement = Placement.of_layer(layer, "um")
    assert placement == Placement((0.25, 0.25), (100.0, 200.0), "um")
    assert [str(unit) for unit in layer.units] == ["pixel", "micrometer", "micrometer"]
    assert layer.scale.tolist() == [1.0, 0.25, 0.25]
    world = layer.data_to_world((0, 10, 20))
    assert np.ravel(placement.from_world([world])).tolist() == [20.5, 10.5]
    assert placement.to_world([20.5], [10.5]).tolist() == [list(world[1:])]


def test_the_mpp_of_a_slide_is_its_place() -> None:
    assert Placement.of_mpp(0.25) == Placement((0.25, 0.25), (0.0, 0.0), "um")
    assert Placement.of_mpp(None) == Placement((1.0, 1.0), (0.0, 0.0), "pixel")
