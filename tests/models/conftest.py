from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

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


def write_noise_set(folder: Path, points: pd.DataFrame) -> Path:
    """A points-folder with one image of 90 x 72 px, not of tissue, called "a"."""
    (folder / "images").mkdir(parents=True)
    (folder / "points").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (72, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "images" / "a.png")
    points.to_csv(folder / "points" / "a.csv", index=False)
    return folder


@pytest.fixture
def tiny_model() -> MuseModel:
    torch.manual_seed(0)
    return MuseModel(tiny_card()).eval()
