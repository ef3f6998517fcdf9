from __future__ import annotations

import numpy as np
import pytest

from muse_core.models.tile_detections import TileDetections


def some(n: int, features: int | None = None, start: float = 0) -> TileDetections:
    rng = np.random.default_rng(n)
    return TileDetections(
        (np.arange(2 * n, dtype=np.float32) + start).reshape(n, 2),
        rng.random(n, dtype=np.float32),
        rng.dirichlet(np.ones(3), n).astype(np.float32),
        None if features is None else rng.normal(size=(n, features)).astype(np.float16),
    )


def test_parts_of_different_lengths_are_refused() -> None:
    whole = some(3, features=4)
    with pytest.raises(ValueError, match="different lengths"):
        TileDetections(whole.xy[:2], whole.score, whole.class_probs)
    with pytest.raises(ValueError, match="different lengths"):
        TileDetections(whole.xy, whole.score, whole.class_probs, np.zeros((2, 4), np.float16))


def test_join_of_taken_parts_is_the_whole_with_its_features() -> None:
    whole = some(9, features=5)
    first = np.arange(9) < 4
    again = TileDetections.join([whole.take(first), TileDetections.none(), whole.take(~first)])
    for name in ("xy", "score", "class_probs", "features", "class_index"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert again.features is not None
    assert again.features.dtype == np.float16


def test_features_that_one_part_lacks_are_in_no_join() -> None:
    assert TileDetections.join([some(2, features=5), some(3)]).features is None


def test_far_from_the_origin_eighths_of_a_pixel_stay() -> None:
    near = TileDetections(
        np.array([[0.125, 3.375]], np.float32), np.ones(1, np.float32), np.ones((1, 1), np.float32)
    )
    far = near.moved(3_000_000, 2_000_001)
    assert far.xy.tolist() == [[3_000_000.125, 2_000_004.375]]
    assert far.scaled(2.0, 4.0).xy.tolist() == [[6_000_000.25, 8_000_017.5]]


def test_of_nothing_there_is_no_class() -> None:
    assert TileDetections.none().class_index.tolist() == []
    assert len(TileDetections.join([])) == 0
