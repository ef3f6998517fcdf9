from __future__ import annotations

import numpy as np
import pytest

from muse_core.detect.backends.drawn_tissue import drawn_tissue, many_drawn_tissues


@pytest.mark.parametrize("shape", [(64, 96), (320, 128)])
def test_it_is_pink_with_dark_nuclei_and_the_same_each_time(shape: tuple[int, int]) -> None:
    image = drawn_tissue(*shape, seed=3)
    assert image.shape == (*shape, 3)
    assert image.dtype == np.uint8
    red, green, blue = (float(np.median(image[..., c])) for c in range(3))
    assert green < blue < red, "pink"
    # Haematoxylin absorbs the red that eosin transmits.
    assert np.percentile(image[..., 0], 1) < red - 60
    assert np.array_equal(image, drawn_tissue(*shape, seed=3))
    assert not np.array_equal(image, drawn_tissue(*shape, seed=4))


def test_many_differ_in_density_and_stain() -> None:
    images = many_drawn_tissues()
    means = np.array([image.mean(axis=(0, 1)) for image in images])
    assert len({image.shape for image in images}) == 1
    assert (means.max(axis=0) - means.min(axis=0) > 20).all()
