from __future__ import annotations

import numpy as np

from muse_core.augment.coarse import shrink_and_enlarge


def test_fine_detail_goes_and_size_and_mean_stay() -> None:
    stripes = np.zeros((41, 48, 3), np.uint8)
    stripes[:, ::2] = 200
    coarse = shrink_and_enlarge(stripes, 2.0)
    assert coarse.shape == stripes.shape
    np.testing.assert_allclose(coarse[:, 4:-4], 100, atol=6)


def test_factor_one_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 255, (33, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(shrink_and_enlarge(image, 1.0), image)
