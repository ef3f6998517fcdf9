"""Features read from the maps of a network, compared with those that torch reads from f_map."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from muse_core.detect.backends.map_features import MapFeatures
from muse_core.errors import UserError
from muse_core.models.checkpoint import save_model
from muse_core.models.config import THIN, ModelConfig
from muse_core.models.encoders import resize
from muse_core.models.muse_model import MuseModel
from muse_core.models.sampling import sample_at_points

from .small_models import SMALL, features_of, maps_of, model_of


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    levels=st.integers(1, 4),
    align_corners=st.tuples(st.booleans(), st.booleans()),
    n=st.sampled_from([0, 1, 40, 1500]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=80, deadline=None)
def test_reading_the_maps_is_reading_the_joined_map(
    rows: int,
    columns: int,
    levels: int,
    align_corners: tuple[bool, bool],
    n: int,
    seed: int,
) -> None:
    resized, sampled = align_corners
    rng = np.random.default_rng(seed)
    size = 32 * rows, 32 * columns
    maps = [
        rng.normal(size=(3 + level, size[0] >> level + 2, size[1] >> level + 2)).astype(np.float32)
        for level in range(levels)
    ]
    projections = [
        (rng.normal(size=(5, len(m))).astype(np.float32), rng.normal(size=5).astype(np.float32))
        for m in maps
    ]
    around = rng.normal(size=(2, 2 * rows, 2 * columns)).astype(np.float32)
    finest = list(maps[0].shape[1:])
    # As the decoder and the surroundings do it.
    joined = [
        resize(
            torch.from_numpy(np.einsum("hc,cyx->hyx", w, m) + b[:, None, None])[None],
            finest,
            resized,
        )
        for m, (w, b) in zip(maps, projections, strict=True)
    ]
    joined.append(resize(torch.from_numpy(around)[None], finest, False))
    # Also outside, where the border value applies.
    xy = rng.uniform(-16, 16 + max(size), (n, 2)).astype(np.float32)
    expected = sample_at_points(torch.cat(joined, 1), torch.from_numpy(xy)[None], size, sampled)
    found = MapFeatures(tuple(projections), resized, sampled).at_points([*maps, around], xy, size)
    np.testing.assert_allclose(found, expected[0].numpy(), atol=2e-4)


def test_bits_of_bfloat16_are_read_as_such() -> None:
    values = torch.randn(3, 4, 4).bfloat16()
    reader = MapFeatures(((np.eye(3, dtype=np.float32), np.zeros(3, np.float32)),), False, False)
    for n in (1, 20):
        xy = np.random.default_rng(0).uniform(0, 16, (n, 2)).astype(np.float32)
        np.testing.assert_array_equal(
            reader.at_points([values.view(torch.uint16).numpy()], xy, (16, 16)),
            reader.at_points([values.float().numpy()], xy, (16, 16)),
        )


@pytest.mark.parametrize("reach_px", [None, 32], ids=["alone", "with surroundings"])
@pytest.mark.parametrize("config", [SMALL, THIN], ids=["stride 4", "stride 8"])
def test_features_of_a_model_are_read_with_the_projections_of_its_file(
    config: ModelConfig, reach_px: int | None, tmp_path: Path
) -> None:
    if reach_px is not None:
        backbone = dataclasses.replace(
            config.backbone, surroundings_channels=6, surroundings_reach_px=reach_px
        )
        config = dataclasses.replace(config, backbone=backbone)
    model = with_norms(model_of(config))
    save_model(model, tmp_path / "m.safetensors", half=False)
    image = torch.rand(1, 3, 96, 160, generator=torch.Generator().manual_seed(1))
    xy = torch.rand(30, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor([160, 96])
    with torch.inference_mode():
        f_map, _ = model.backbone(image)
        expected = model.backbone.sample(f_map, xy[None], (96, 160))[0].numpy()
    for reader in (
        features_of(model),
        MapFeatures.from_file(tmp_path / "m.safetensors", config.backbone),
    ):
        found = reader.at_points(maps_of(model, image), xy.numpy(), (96, 160))
        np.testing.assert_allclose(found, expected, atol=1e-4 * float(np.abs(expected).max()))


def test_a_file_without_them_is_damaged(tmp_path: Path) -> None:
    save_model(model_of(THIN), tmp_path / "m.safetensors")
    with pytest.raises(UserError, match=r"^m\.safetensors is damaged: "):
        MapFeatures.from_file(tmp_path / "m.safetensors", SMALL.backbone)


def with_norms(model: MuseModel) -> MuseModel:
    """Batch norms as after training: those of a new network change nothing."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for norm in model.backbone.decoder.hyper.modules():
            if isinstance(norm, nn.BatchNorm2d):
                for values in norm.state_dict().values():
                    if values.is_floating_point():
                        values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
    return model
