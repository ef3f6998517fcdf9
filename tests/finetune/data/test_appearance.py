from __future__ import annotations

import dataclasses

import torch

from muse_core.finetune.config import ViewConfig
from muse_core.finetune.data.appearance import alter_appearance, jitter_stain

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
