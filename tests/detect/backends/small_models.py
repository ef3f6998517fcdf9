"""Small models whose untrained heads detect something."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from muse_core.detect.backends.map_features import MapFeatures
from muse_core.models.card import ModelCard
from muse_core.models.config import BackboneConfig, HeadConfig, ModelConfig
from muse_core.models.encoders import normalise
from muse_core.models.muse_model import MuseModel
from muse_core.models.surroundings import Surroundings
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


def features_of(model: MuseModel) -> MapFeatures:
    """What reads the features of a model, with folded batch norms."""
    config = ModelConfig.from_json(model.card.architecture).backbone
    projections = [
        (f.weight.detach()[:, :, 0, 0].numpy(), f.bias.detach().numpy())
        for f in model.backbone.decoder.projections()
        if f.bias is not None
    ]
    return MapFeatures(tuple(projections), config.align_corners, config.sampling_align_corners)


@torch.inference_mode()
def maps_of(model: MuseModel, image: Tensor) -> list[npt.NDArray[np.float32]]:
    """The maps of a (1, 3, H, W) image that its features are read from."""
    backbone = model.backbone
    fused, _ = backbone.fused_maps(normalise(image))
    if isinstance(backbone.surroundings, Surroundings):
        around = backbone.surroundings
        own = backbone.decoder.joined(fused)
        fused.append(around.around(around.project(around.coarse(own))))
    return [x[0].numpy() for x in fused]
