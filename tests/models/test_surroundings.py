"""Means over the surroundings, compared with loops over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from muse_core.errors import UserError
from muse_core.models.backbone import MuseBackbone
from muse_core.models.config import THIN, BackboneConfig, HeadConfig, ModelConfig
from muse_core.models.heads import PointHead
from muse_core.models.surroundings import Surroundings, mean_around


@pytest.mark.parametrize("map_stride_px", [4, 8])
def test_means_are_of_the_square_around_as_far_as_there_is_a_map(map_stride_px: int) -> None:
    cells = 16 // map_stride_px
    f_map = torch.rand(2, 3, 6 * cells, 9 * cells)

    means = mean_around(f_map, 32, map_stride_px).numpy()

    assert means.shape == (2, 3, 6, 9)
    for row in range(6):
        for column in range(9):
            part = f_map[
                :,
                :,
                max(0, row - 2) * cells : (row + 3) * cells,
                max(0, column - 2) * cells : (column + 3) * cells,
            ]
            expected = part.numpy().mean(axis=(2, 3))
            np.testing.assert_allclose(means[:, :, row, column], expected, rtol=1e-5)


def test_what_is_added_is_a_projection_of_these_means() -> None:
    f_map = torch.rand(1, 5, 32, 48)
    surroundings = Surroundings(5, 7, 48, 4)

    with torch.no_grad():
        whole = surroundings(f_map)
        means = mean_around(f_map, 48, 4)
        expected = torch.nn.functional.gelu(surroundings.project(means))

    assert whole.shape == (1, 12, 32, 48)
    assert torch.equal(whole[:, :5], f_map)
    at = np.mgrid[0:32, 0:48] / 4 - 0.375  # centres of the map's cells in units of grid cells
    for channel in range(7):
        np.testing.assert_allclose(
            whole[0, 5 + channel].numpy(),
            map_coordinates(expected[0, channel].numpy(), at, order=1, mode="nearest"),
            rtol=1e-4,
            atol=1e-6,
        )


def test_a_backbone_has_them_where_its_configuration_says_so() -> None:
    plain = MuseBackbone(THIN.backbone)
    config = BackboneConfig.from_json(
        THIN.backbone.to_json() | {"surroundings_channels": 16, "surroundings_reach_px": 64}
    )
    with_them = MuseBackbone(config)
    missing = with_them.load_state_dict(plain.state_dict(), strict=False).missing_keys

    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        own, whole = plain.eval()(image)[0], with_them.eval()(image)[0]

    assert {key.split(".")[0] for key in missing} == {"surroundings"}
    assert with_them.out_channels == with_them.own_channels + 16 == whole.shape[1]
    assert torch.equal(whole[:, : plain.out_channels], own)


def test_nuclei_are_found_whatever_lies_around() -> None:
    head = PointHead(5, HeadConfig(hidden_channels=4)).eval()
    f_map = torch.rand(1, 8, 6, 6)
    other = torch.cat([f_map[:, :5], torch.rand(1, 3, 6, 6)], dim=1)

    with torch.no_grad():
        one, same = head(f_map), head(other)

    assert torch.equal(one.logit, same.logit)
    assert torch.equal(one.xy, same.xy)


def test_cards_of_models_without_them_are_as_before() -> None:
    assert not any("surroundings" in key for key in BackboneConfig().to_json())
    config = ModelConfig(BackboneConfig(surroundings_channels=64, surroundings_reach_px=48))
    assert ModelConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    "wrong",
    [
        {"surroundings_channels": 0},
        {"surroundings_channels": 1.5},
        {"surroundings_channels": 8, "surroundings_reach_px": 40},
        {"surroundings_channels": 8, "surroundings_reach_px": 0},
        {"surroundings_channels": 8, "surroundings_reach_px": "far"},
        {"surroundings_channels": 8, "surroundings_reach_px": 10**9},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match="surroundings"):
        BackboneConfig.from_json(BackboneConfig().to_json() | wrong)
