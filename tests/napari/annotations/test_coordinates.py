from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_muse.annotations.coordinates import from_layer, from_world, to_layer

NUMBERS = st.floats(-1e6, 1e6, width=64)


def test_the_middle_of_the_first_pixel_is_naparis_origin() -> None:
    assert to_layer([0.5], [0.5]).tolist() == [[0.0, 0.0]]
    assert to_layer([10.5], [20.5]).tolist() == [[20.0, 10.0]]


@given(NUMBERS, NUMBERS, st.floats(0.05, 20))
def test_there_and_back(x: float, y: float, mpp: float) -> None:
    data = to_layer([x], [y])
    np.testing.assert_allclose(np.ravel(from_layer(data)), [x, y], atol=1e-6)
    np.testing.assert_allclose(np.ravel(from_world(data * mpp, mpp)), [x, y], atol=1e-6)
