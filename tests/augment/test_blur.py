from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from muse_core.augment.blur import blur


def test_each_image_is_blurred_by_its_own_deviation_and_some_not_at_all() -> None:
    images = torch.rand(3, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    blurred = blur(images, torch.tensor([0.0, 0.6, 1.1]))
    assert torch.equal(images, before), "what is given stays as it is"
    assert torch.equal(blurred[0], images[0])
    for number, sigma in ((1, 0.6), (2, 1.1)):
        # A kernel of 9 px reaches 4 px; scipy's "mirror" is torch's "reflect".
        expected = gaussian_filter(
            images[number].numpy(), (0, sigma, sigma), mode="mirror", truncate=4 / sigma
        )
        np.testing.assert_allclose(blurred[number].numpy(), expected, atol=1e-5)


def test_nothing_to_blur_is_nothing_to_do() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert blur(images, torch.zeros(2)) is images
