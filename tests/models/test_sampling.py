from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from muse_core.models.backbone import MuseBackbone
from muse_core.models.config import BackboneConfig
from muse_core.models.point_features import features_by_image
from muse_core.models.sampling import sample_at_points


def _bilinear(f_map: np.ndarray, x: float, y: float, stride: float) -> np.ndarray:
    """By hand: cell (r, c) has its centre at ((c + 0.5) stride, (r + 0.5) stride)."""
    _, rows, columns = f_map.shape
    u = min(max(x / stride - 0.5, 0), columns - 1)
    v = min(max(y / stride - 0.5, 0), rows - 1)
    c, r = min(int(u), columns - 2), min(int(v), rows - 2)
    du, dv = u - c, v - r
    result: np.ndarray = (
        f_map[:, r, c] * (1 - du) * (1 - dv)
        + f_map[:, r, c + 1] * du * (1 - dv)
        + f_map[:, r + 1, c] * (1 - du) * dv
        + f_map[:, r + 1, c + 1] * du * dv
    )
    return result


@given(x=st.floats(0, 32, allow_nan=False, width=32), y=st.floats(0, 24, allow_nan=False, width=32))
def test_agrees_with_bilinear_interpolation_by_hand(x: float, y: float) -> None:
    f_map = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(1))
    sampled = sample_at_points(f_map[None], torch.tensor([[[x, y]]]), (24, 32))
    expected = _bilinear(f_map.numpy().astype(np.float64), x, y, 4.0)
    np.testing.assert_allclose(sampled[0, 0].numpy(), expected, atol=1e-5)


def test_released_weights_convention_maps_the_far_corner_to_the_last_cell() -> None:
    f_map = torch.arange(12.0).view(1, 1, 3, 4)
    corners = torch.tensor([[[0.0, 0.0], [16.0, 12.0]]])
    sampled = sample_at_points(f_map, corners, (12, 16), align_corners=True)
    assert sampled.flatten().tolist() == [0.0, 11.0]


def test_no_points_give_no_features() -> None:
    sampled = sample_at_points(torch.zeros(2, 5, 3, 4), torch.zeros(2, 0, 2), (12, 16))
    assert sampled.shape == (2, 0, 5)


def test_points_scattered_over_images_have_the_features_of_their_own_image() -> None:
    backbone = MuseBackbone(BackboneConfig("resnet10t", (4, 4, 4, 4), 4)).eval()
    f_map = torch.randn(3, 4, 3, 4, generator=torch.Generator().manual_seed(0))
    image = torch.tensor([0, 0, 2])
    xy = torch.tensor([[1.0, 2.0], [9.0, 5.0], [15.0, 11.0]])
    parts = features_by_image(backbone, f_map, image, xy, (12, 16))
    assert [len(part) for part in parts] == [2, 0, 1]
    for b, point, row in zip(image, xy, torch.cat(parts), strict=True):
        alone = sample_at_points(f_map[b : b + 1], point[None, None], (12, 16))[0, 0]
        torch.testing.assert_close(row, alone)
