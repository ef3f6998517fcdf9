from __future__ import annotations

import numpy as np

from muse_core.augment.jpeg import compress


def _image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (48, 40, 3), dtype=np.uint8)


def test_compression_changes_more_at_lower_quality() -> None:
    image = _image()
    errors = [
        np.abs(compress(image, quality, False).astype(int) - image).mean() for quality in (95, 30)
    ]
    assert 0 < errors[0] < errors[1]


def test_halved_colour_blurs_colour_and_leaves_grey() -> None:
    grey = np.repeat(_image()[..., :1], 3, axis=2)
    np.testing.assert_array_equal(compress(grey, 95, True), compress(grey, 95, False))
    # Red and blue stripes of one pixel: only their mean colour remains.
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 200
    full = compress(stripes, 100, False).astype(int)
    half = compress(stripes, 100, True).astype(int)
    assert np.abs(full[:, ::2, 0] - full[:, 1::2, 0]).mean() > 150
    assert np.abs(half[:, ::2, 0] - half[:, 1::2, 0]).mean() < 60
