from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from muse_core.finetune.config import ViewConfig
from muse_core.finetune.data.appearance import (
    alter_appearance,
    alter_storage,
    jitter_colour,
    jitter_stain,
    sharpen_some,
)

STILL = ViewConfig(
    stain_gain=(1.0, 1.0), stain_shift=0.0, stain_vector_noise=0.0, blur_share=0.0, noise=0.0
)


def _images() -> torch.Tensor:
    return 0.05 + 0.95 * torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_no_strength_no_change() -> None:
    images = _images()
    altered = alter_appearance(images, STILL, torch.Generator().manual_seed(1))
    torch.testing.assert_close(altered, images, atol=1e-4, rtol=0)


def test_gain_two_squares_the_transmission() -> None:
    images = _images()
    twice = dataclasses.replace(STILL, stain_gain=(2.0, 2.0))
    altered = jitter_stain(images, twice, torch.Generator().manual_seed(1))
    torch.testing.assert_close(altered, images**2, atol=1e-4, rtol=0)


def test_stays_in_range_differs_between_images_and_repeats_with_the_seed() -> None:
    images = _images()[:1].expand(4, -1, -1, -1).clone()
    first = alter_appearance(images, ViewConfig(), torch.Generator().manual_seed(5))
    again = alter_appearance(images, ViewConfig(), torch.Generator().manual_seed(5))
    assert torch.equal(first, again)
    assert first.min() >= 0
    assert first.max() <= 1
    assert not torch.allclose(first[0], first[1], atol=1e-3)


def test_glass_stays_bright() -> None:
    glass = torch.full((64, 3, 16, 16), 0.95)
    quiet = dataclasses.replace(ViewConfig(), noise=0.0)
    assert alter_appearance(glass, quiet, torch.Generator().manual_seed(2)).min() > 0.8


def test_brightness_and_contrast_are_an_affine_map_of_each_image() -> None:
    images = 0.3 + 0.4 * _images()
    config = dataclasses.replace(STILL, brightness=0.1, contrast=0.2)
    altered = jitter_colour(images, config, torch.Generator().manual_seed(1))
    for before, after in zip(images.flatten(2), altered.flatten(2), strict=True):
        for x, y in zip(before, after, strict=True):
            slope, shift = np.polyfit(x.numpy(), y.numpy(), 1)
            np.testing.assert_allclose(slope * x + shift, y, atol=1e-4)
            assert 0.8 * 0.9 * 0.9 <= slope <= 1.2 * 1.1 * 1.1
    assert not torch.allclose(altered, images, atol=1e-2)


def test_storage_alters_as_many_views_as_asked() -> None:
    image = _images()[0].repeat(1, 4, 4)
    config = dataclasses.replace(STILL, jpeg_share=0.3, coarse_share=0.2)
    altered = [
        not torch.equal(alter_storage(image, config, np.random.default_rng(i)), image)
        for i in range(300)
    ]
    assert np.mean(altered) == pytest.approx(1 - 0.7 * 0.8, abs=0.08)
    assert torch.equal(alter_storage(image, STILL, np.random.default_rng(0)), image)


def test_storage_draws_as_much_whatever_it_does() -> None:
    image = _images()[0].repeat(1, 4, 4)
    states = []
    for share in (0.0, 1.0):
        rng = np.random.default_rng(0)
        alter_storage(image, dataclasses.replace(STILL, jpeg_share=share), rng)
        states.append(rng.random())
    assert states[0] == states[1]


def test_sharpening_is_an_unsharp_mask() -> None:
    images = 0.4 + 0.1 * torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    config = dataclasses.replace(
        STILL, sharpen=(1.5, 1.5), sharpen_px=(0.8, 0.8), sharpen_share=1.0
    )
    found = sharpen_some(images, config, torch.Generator().manual_seed(1)).numpy()
    x = images.numpy().astype(np.float64)
    blurred = gaussian_filter(x, (0, 0, 0.8, 0.8), radius=(0, 0, 4, 4), mode="reflect")
    expected = x + 1.5 * (x - blurred)
    np.testing.assert_allclose(found[..., 5:-5, 5:-5], expected[..., 5:-5, 5:-5], atol=1e-5)


def test_as_many_crops_as_asked_are_sharpened() -> None:
    images = _images()[:1].expand(400, -1, -1, -1)
    config = dataclasses.replace(STILL, sharpen_share=0.3)
    altered = sharpen_some(images, config, torch.Generator().manual_seed(1))
    share = (altered != images).flatten(1).any(1).float().mean()
    assert share.item() == pytest.approx(0.3, abs=0.07)
