from __future__ import annotations

import pytest
import torch

from muse_core.models.card import ModelCard
from muse_core.models.config import BackboneConfig, HeadConfig, ModelConfig
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme


def tiny_card(name: str = "tiny", **changes: object) -> ModelCard:
    config = ModelConfig(
        BackboneConfig(encoder="resnet10t", decoder_channels=(8, 8, 8, 8), hyper_channels=8),
        HeadConfig(hidden_channels=8),
    )
    settings: dict[str, object] = {
        "name": name,
        "architecture": config.to_json(),
        "mpp": 0.5,
        "fov_px": 256,
        "classes": ClassScheme.from_names(["lymphocyte", "tumor"]).to_json(),
        "score_threshold": 0.5,
    }
    return ModelCard(**(settings | changes))  # type: ignore[arg-type]


@pytest.fixture
def tiny_model() -> MuseModel:
    torch.manual_seed(0)
    return MuseModel(tiny_card()).eval()
