from __future__ import annotations

import numpy as np
import torch
from skimage.color import rgb_from_hed

from muse_core.augment.stain import apply_stain_change, stain_change


def test_no_change_leaves_the_pixels() -> None:
    images = torch.rand(2, 3, 5, 6).clamp_min(0.01)
    change = stain_change(torch.ones(2, 3), torch.zeros(2, 3), torch.zeros(2, 3, 3))
    torch.testing.assert_close(apply_stain_change(images, *change), images, rtol=1e-4, atol=1e-5)


def test_a_gain_of_two_doubles_the_density_of_its_stain_alone() -> None:
    stains = rgb_from_hed / np.linalg.norm(rgb_from_hed, axis=1, keepdims=True)
    amounts = np.array([0.4, 0.3, 0.0])
    image = torch.from_numpy(np.exp(-amounts @ stains)).float().view(1, 3, 1, 1)
    gain = torch.tensor([[2.0, 1.0, 1.0]])
    change = stain_change(gain, torch.zeros(1, 3), torch.zeros(1, 3, 3))
    expected = np.exp(-(amounts * [2, 1, 1]) @ stains)
    np.testing.assert_allclose(apply_stain_change(image, *change).flatten(), expected, rtol=1e-4)


def test_a_shift_adds_a_stain() -> None:
    stains = rgb_from_hed / np.linalg.norm(rgb_from_hed, axis=1, keepdims=True)
    image = torch.full((1, 3, 1, 1), 0.8)
    shift = torch.tensor([[0.0, 0.2, 0.0]])
    change = stain_change(torch.ones(1, 3), shift, torch.zeros(1, 3, 3))
    expected = 0.8 * np.exp(-0.2 * stains[1])
    np.testing.assert_allclose(apply_stain_change(image, *change).flatten(), expected, rtol=1e-4)
