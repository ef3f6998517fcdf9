from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from muse_core.models.sampling import sample_at_points
from muse_core.pretrain.config import ViewsConfig
from muse_core.pretrain.losses import nulo_loss
from muse_core.pretrain.views import View, draw_views, field_side_um

Step = Callable[[View], View]
_EDGE_PX = 3.0


def ramp_field(size_px: int = 64) -> View:
    """Red encodes the column and green the row, so that each pixel shows where it came from."""
    along = (np.arange(size_px) + 0.5) / size_px * 255
    pixels = np.zeros((size_px, size_px, 3), np.uint8)
    pixels[:, :, 0] = along[None, :].round()
    pixels[:, :, 1] = along[:, None].round()
    grid = np.stack(np.meshgrid(np.arange(2, size_px, 5.3), np.arange(2, size_px, 4.7)), axis=-1)
    xy = grid.reshape(-1, 2)
    return View(pixels, xy, np.arange(len(xy)))


def _crop(left: float, top: float, side: float, out_px: int) -> Step:
    def apply(view: View) -> View:
        height, width = view.pixels.shape[:2]
        length = side * (min(height, width) - 2 * _EDGE_PX)
        # Pillow's filter distorts the ramp at its ends, which crops avoid.
        x = _EDGE_PX + left * (width - 2 * _EDGE_PX - length)
        y = _EDGE_PX + top * (height - 2 * _EDGE_PX - length)
        return view.crop(x, y, length, out_px)

    return apply


_unit = st.floats(0, 1)
_steps = st.one_of(
    st.builds(_crop, _unit, _unit, st.floats(0.5, 1), st.integers(40, 130)),
    st.just(View.flip),
    st.builds(lambda k: lambda view: view.turn(k), st.integers(0, 7)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_steps, max_size=6))
def test_the_pixel_under_a_nucleus_is_the_same_tissue(steps: list[Step]) -> None:
    source = ramp_field()
    view = source
    for step in steps:
        view = step(view)
    height, width = view.pixels.shape[:2]
    inner = ((view.xy > _EDGE_PX) & (view.xy < [width - _EDGE_PX, height - _EDGE_PX])).all(axis=1)
    where = view.xy[inner][:, ::-1].T - 0.5
    expected = source.xy[view.index[inner]] / 64 * 255
    for channel in (0, 1):
        found = map_coordinates(view.pixels[:, :, channel].astype(float), where, order=1)
        # One source pixel is four grey levels; each crop rounds once.
        np.testing.assert_allclose(found, expected[:, channel], atol=1 + 0.6 * len(steps) / 2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_drawn_views_show_what_they_say(seed: int) -> None:
    config = ViewsConfig(mpp=(0.2, 0.6), global_px=64, local_px=32, n_local=3, field_um=30)
    source = ramp_field(120)
    views = draw_views(source, 0.25, config, np.random.default_rng(seed))
    assert [v.pixels.shape[0] for v in views] == [64, 64, 32, 32, 32]
    for view in views:
        side = view.pixels.shape[0]
        inner = ((view.xy > 4) & (view.xy < side - 4)).all(axis=1)
        where = view.xy[inner][:, ::-1].T - 0.5
        for channel in (0, 1):
            found = map_coordinates(view.pixels[:, :, channel].astype(float), where, order=1)
            expected = source.xy[view.index[inner], channel] / 120 * 255
            np.testing.assert_allclose(found, expected, atol=2.2)


def test_no_nucleus_inside_is_lost() -> None:
    source = ramp_field()
    view = source.crop(10, 20, 30, 60)
    inside = ((source.xy >= [10, 20]) & (source.xy < [40, 50])).all(axis=1)
    np.testing.assert_array_equal(view.index, source.index[inside])


def test_resolutions_are_log_uniform_and_limited_by_the_field() -> None:
    config = ViewsConfig(mpp=(0.2, 0.6), global_px=32, local_px=32, n_local=0, field_um=10)
    pixels = np.zeros((400, 400, 3), np.uint8)
    pair = np.array([[190.0, 200.0], [210.0, 200.0]])
    field = View(pixels, pair, np.arange(2))
    rng = np.random.default_rng(0)
    logs = []
    for _ in range(1500):
        for view in draw_views(field, 0.1, config, rng):
            if len(view.xy) == 2:
                apart = np.linalg.norm(view.xy[0] - view.xy[1])
                logs.append(np.log(20 * 0.1 / apart))
    # Wide views show both nuclei more often; the ends of the range are still reached.
    assert np.log(0.2) - 1e-9 <= min(logs) < np.log(0.22)
    assert np.log(0.55) < max(logs) <= np.log(0.6) + 1e-9
    small = View(pixels[:64, :80], np.zeros((0, 2)), np.arange(0))
    assert all(v.pixels.shape == (32, 32, 3) for v in draw_views(small, 0.1, config, rng))
    assert field_side_um(config) == 32 * 0.6


def test_nulo_does_not_depend_on_flips_of_a_view() -> None:
    generator = torch.Generator().manual_seed(0)
    f_map = torch.randn(1, 6, 16, 16, generator=generator)
    xy = torch.rand(1, 5, 2, generator=generator) * 64
    teacher = torch.randn(5, 6, generator=generator).softmax(-1)
    mirrored = torch.stack([64 - xy[..., 0], xy[..., 1]], dim=-1)
    losses = []
    for features, points in ((f_map, xy), (f_map.flip(3), mirrored)):
        student = sample_at_points(features, points, (64, 64))[0]
        pair, size = torch.zeros(5, dtype=torch.int64), torch.tensor([5])
        losses.append(nulo_loss(teacher, student, pair, size, 1, 0.1))
    torch.testing.assert_close(losses[0], losses[1])
