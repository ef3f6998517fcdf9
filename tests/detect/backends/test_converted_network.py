"""The network that is converted, compared with the model it is made of."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from muse_core.detect.backends.converted_network import ConvertedNetwork
from muse_core.models.config import THIN, ModelConfig

from .small_models import SMALL, maps_of, model_of

BY_LEVEL = dataclasses.replace(THIN, head=dataclasses.replace(THIN.head, n_maps=None))

TWO_JOINED = dataclasses.replace(SMALL, head=dataclasses.replace(SMALL.head, n_maps=2))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("added", [None, 6], ids=["alone", "with surroundings"])
@pytest.mark.parametrize(
    "config",
    [SMALL, TWO_JOINED, BY_LEVEL, THIN],
    ids=["joined map", "two maps joined", "by level", "finest level"],
)
def test_it_gives_the_same_proposals_and_the_maps(
    config: ModelConfig, added: int | None, align_corners: bool
) -> None:
    backbone = dataclasses.replace(
        config.backbone,
        align_corners=align_corners,
        surroundings_channels=added,
        surroundings_reach_px=32,
    )
    model = model_of(dataclasses.replace(config, backbone=backbone))
    pixels = torch.randint(
        0, 256, (1, 96, 160, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    image = pixels.permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        f_map, _ = model.backbone(image)
        expected = model.point_head.out(model.point_head.trunk(model.point_head.seen(f_map)))
        out, *maps = ConvertedNetwork(model)(pixels)
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=1e-4)
    wanted = maps_of(model, image)
    assert len(maps) == len(wanted) == backbone.n_maps + (added is not None)
    for found, given in zip(maps, wanted, strict=True):
        torch.testing.assert_close(found[0], torch.from_numpy(given), atol=1e-4, rtol=1e-4)
