from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.classify.tiles import plan_feature_tiles
from muse_core.errors import UserError

POINTS = st.lists(
    st.tuples(st.floats(0, 3000, allow_nan=False), st.floats(0, 3000, allow_nan=False)),
    max_size=40,
)


@given(POINTS, st.sampled_from([64, 224, 512]), st.floats(0.3, 4))
def test_every_point_is_in_one_tile_and_most_central_there(
    points: list[tuple[float, float]], fov_px: int, scale: float
) -> None:
    plan = plan_feature_tiles(points, scale, fov_px)
    tiles = [plan[i] for i in range(len(plan))]
    rows = np.concatenate([tile.rows for tile in tiles]) if tiles else np.zeros(0)
    assert sorted(rows.tolist()) == list(range(len(points)))
    for tile in tiles:
        assert tile.region.w == pytest.approx(fov_px * scale)
        for row, xy in zip(tile.rows, tile.xy, strict=True):
            corner = np.array([tile.region.x, tile.region.y])
            np.testing.assert_allclose(corner + xy * scale, points[row], atol=0.01)
            # No tile of the grid has its centre nearer: they are half a field apart.
            assert np.abs(xy - fov_px / 2).max() <= fov_px / 4 + 1e-3


@given(POINTS, st.tuples(st.floats(0, 3000), st.floats(0, 3000)))
def test_a_point_is_seen_in_the_same_tile_whoever_else_is_there(
    others: list[tuple[float, float]], point: tuple[float, float]
) -> None:
    alone = plan_feature_tiles([point], 1.0, 224)[0]
    plan = plan_feature_tiles([*others, point], 1.0, 224)
    together = next(plan[i] for i in range(len(plan)) if len(others) in plan[i].rows)
    assert together.region == alone.region


@pytest.mark.parametrize("fov_px", [0, 100, 32, 4096])
def test_odd_fields_of_view_are_refused(fov_px: int) -> None:
    with pytest.raises(UserError, match="field of view"):
        plan_feature_tiles([(1, 1)], 1.0, fov_px)
