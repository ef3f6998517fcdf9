from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.finetune.data.views import ViewGeometry, look_up, random_geometry, render


@given(
    centre=st.tuples(st.floats(20, 180), st.floats(20, 180)),
    scale=st.floats(0.5, 2),
    angle=st.floats(0, 6.28),
    flip=st.booleans(),
)
def test_to_view_is_the_inverse_of_to_source(
    centre: tuple[float, float], scale: float, angle: float, flip: bool
) -> None:
    geometry = ViewGeometry.around(np.array(centre), 64, scale, angle, flip)
    xy = np.array([[3.5, 60.0], [0.0, 0.0], [31.25, 7.0]])
    np.testing.assert_allclose(geometry.to_view(geometry.to_source(xy)), xy, atol=1e-9)
    np.testing.assert_allclose(geometry.to_source([[32, 32]])[0], centre, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_the_pixel_under_a_nucleus_is_the_same_tissue(seed: int, rotate: bool) -> None:
    """A dot drawn at a nucleus of the source appears at the nucleus' position in the view."""
    rng = np.random.default_rng(seed)
    image = np.zeros((160, 200, 3), dtype=np.uint8)
    x, y = rng.integers(60, 140), rng.integers(60, 100)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    geometry = random_geometry(rng, (160, 200), 96, rng.uniform(0.7, 1.4), rotate)
    ((u, v),) = geometry.to_view([[x + 0.5, y + 0.5]])
    view, known = render(image, geometry)
    if 3 < u < 93 and 3 < v < 93:
        assert view[0, int(v), int(u)] > 0.9
        assert known[int(v), int(u)]
        total = view[0].sum()
        rows, columns = torch.meshgrid(
            torch.arange(96) + 0.5, torch.arange(96) + 0.5, indexing="ij"
        )
        weighted = view[0] / total
        if view[0].sum() > 0 and 10 < u < 86 and 10 < v < 86:
            assert abs(float((columns * weighted).sum()) - u) < 0.15
            assert abs(float((rows * weighted).sum()) - v) < 0.15


def test_identity_view_copies_the_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    view, known = render(image, ViewGeometry.around(np.array([32.0, 32.0]), 64, 1.0, 0.0, False))
    np.testing.assert_allclose(view.permute(1, 2, 0).numpy() * 255, image, atol=1e-2)
    assert known.all()


def test_what_falls_off_the_source_is_not_known() -> None:
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    _, known = render(image, ViewGeometry.around(np.array([16.0, 16.0]), 64, 1.0, 0.0, False))
    expected = np.zeros((64, 64), dtype=bool)
    expected[16:48, 16:48] = True
    np.testing.assert_array_equal(known.numpy(), expected)


def test_a_mask_is_looked_up_where_the_pixels_come_from() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((50, 60)) < 0.5
    geometry = ViewGeometry.around(np.array([20.0, 30.0]), 32, 1.3, 0.7, True)
    shown = look_up(mask, geometry).numpy()
    for row, column in rng.integers(0, 32, (200, 2)):
        x, y = geometry.to_source([[column + 0.5, row + 0.5]])[0]
        inside = 0 <= x < 60 and 0 <= y < 50
        assert shown[row, column] == (inside and mask[int(y), int(x)])


def test_a_focus_lies_at_a_random_place_of_the_view() -> None:
    rng = np.random.default_rng(0)
    focus = (400.0, 420.0, 440.0, 460.0)
    middles = []
    for _ in range(200):
        geometry = random_geometry(rng, (1000, 1000), 256, 1.0, True, focus)
        middles.append(geometry.to_view([[420.0, 440.0]])[0])
    inside = [((m > -20) & (m < 276)).all() for m in middles]
    assert np.mean(inside) > 0.9
    assert (np.std(middles, axis=0) > 40).all()
