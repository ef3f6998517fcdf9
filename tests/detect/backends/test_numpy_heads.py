"""The numpy heads compared with the torch originals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from muse_core.detect.backends.backend import Wanted
from muse_core.detect.backends.numpy_heads import ClassWeights, NumpyHeads
from muse_core.models.checkpoint import save_model
from muse_core.models.config import THIN, ModelConfig
from muse_core.models.duplicates import DUPLICATE_RADIUS_UM
from muse_core.models.muse_model import MuseModel

from .small_models import SMALL, features_of, maps_of, model_of


def heads_of(model: MuseModel) -> NumpyHeads:
    head = model.class_head
    weights = [
        (layer.weight.detach().numpy(), layer.bias.detach().numpy())
        for layer in (head.hidden, head.out)
    ]
    return NumpyHeads(
        features_of(model), ClassWeights(*weights), DUPLICATE_RADIUS_UM / model.card.mpp
    )


@pytest.mark.parametrize("config", [SMALL, THIN], ids=["stride 4", "stride 8"])
@pytest.mark.parametrize("min_score", [0.0, 0.02, 0.6])
def test_nuclei_are_those_of_the_torch_model(config: ModelConfig, min_score: float) -> None:
    model = model_of(config)
    image = torch.rand(1, 3, 96, 160, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        f_map, _ = model.backbone(image)
        head = model.point_head
        out = head.out(head.trunk(head.seen(f_map)))
        (expected,) = model.predict(image, min_score, features=True)
    found = heads_of(model).detections(
        maps_of(model, image), out[0].numpy(), (96, 160), Wanted(min_score, features=True)
    )
    assert len(found) == len(expected) > 5
    np.testing.assert_allclose(found.xy, expected.xy, atol=1e-4)
    np.testing.assert_allclose(found.score, expected.score, atol=1e-6)
    np.testing.assert_allclose(found.class_probs, expected.class_probs, atol=1e-5)
    assert found.features is not None
    assert expected.features is not None
    np.testing.assert_allclose(found.features, expected.features, atol=1e-3, rtol=1e-3)


def test_nuclei_in_the_margin_are_left_out_and_nothing_else_changes() -> None:
    model = model_of(THIN)
    rng = np.random.default_rng(0)
    out = rng.normal(-1, 1, (12, 8, 16)).astype(np.float32)
    maps = maps_of(model, torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(2)))
    every, inner = (
        heads_of(model).detections(maps, out, (64, 128), Wanted(0.5, True, margin_px))
        for margin_px in (0.0, 20.0)
    )
    middle = (np.abs(every.xy - (64, 32)) <= (44, 12)).all(axis=1)
    assert 5 < len(inner) < len(every)
    np.testing.assert_array_equal(inner.xy, every.xy[middle])
    np.testing.assert_array_equal(inner.score, every.score[middle])
    np.testing.assert_allclose(inner.class_probs, every.class_probs[middle], atol=1e-6)
    assert inner.features is not None
    assert every.features is not None
    np.testing.assert_array_equal(inner.features, every.features[middle])


def test_of_no_proposal_there_is_no_nucleus() -> None:
    model = model_of(THIN)
    out = np.full((12, 4, 4), -9, np.float32)
    maps = maps_of(model, torch.zeros(1, 3, 32, 32))
    found = heads_of(model).detections(maps, out, (32, 32), Wanted(0.5))
    assert len(found) == 0
    assert found.class_probs.shape == (0, 3)


def test_the_class_head_is_read_from_the_file(tmp_path: Path) -> None:
    model = model_of(SMALL)
    save_model(model, tmp_path / "m.safetensors", half=False)
    features = torch.randn(7, model.backbone.out_channels)
    with torch.inference_mode():
        expected = functional.softmax(model.class_head(features), dim=1)
    found = ClassWeights.from_file(tmp_path / "m.safetensors").probabilities(features.numpy())
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
