from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import pytest

from muse_core.finetune import FinetuneConfig, LabelSet, finetune
from muse_core.finetune.config import ViewConfig
from muse_core.models.card import read_card
from muse_core.models.checkpoint import load_model, save_model

from ..job_inputs import write_model, write_points_folder


@pytest.mark.parametrize("mode", ["full", "adapt"])
def test_a_model_is_under_the_licence_of_the_one_it_comes_from(
    tmp_path: Path, mode: Literal["full", "adapt"]
) -> None:
    base = write_model(tmp_path / "base.safetensors")
    model = load_model(base)
    model.card = dataclasses.replace(model.card, licence="CC-BY-NC-SA-4.0")
    save_model(model, base)
    folder = write_points_folder(tmp_path / "points", n_images=3)
    out = tmp_path / "out.safetensors"
    config = FinetuneConfig(
        train=(LabelSet(folder, 0.5),),
        out=out,
        base=base,
        mode=mode,
        steps=1,
        batch=1,
        device="cpu",
        views=ViewConfig(crop_px=64),
    )
    finetune(config)
    assert read_card(out).licence == "CC-BY-NC-SA-4.0"
