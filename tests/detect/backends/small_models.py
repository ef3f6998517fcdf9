"""Small models whose untrained heads detect something."""

from __future__ import annotations

import torch

from muse_core.models.card import ModelCard
from muse_core.models.config import BackboneConfig, HeadConfig, ModelConfig
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme

SMALL = ModelConfig(
    BackboneConfig(decoder_channels=(8, 8, 8, 8), hyper_channels=8), HeadConfig(hidden_channels=8)
)


def model_of(config: ModelConfig, seed: int = 0) -> MuseModel:
    torch.manual_seed(seed)
    scheme = ClassScheme.from_names(["a", "b", "c"]).to_json()
    model = MuseModel(ModelCard("m", config.to_json(), 0.5, 64, scheme, 0.02))
    # Without training every logit would be the prior.
    out = model.point_head.out
    torch.nn.init.normal_(out.weight, std=1)
    assert out.bias is not None
    torch.nn.init.zeros_(out.bias)
    with torch.no_grad():
        out.weight[: len(out.weight) // 3] *= 20
    return model.eval()
