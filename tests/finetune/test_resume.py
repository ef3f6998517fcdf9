from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from muse_core.errors import UserError
from muse_core.finetune import Listener, finetune
from muse_core.finetune.config import AdaptConfig, ConsistencyConfig, ViewConfig
from muse_core.finetune.result import ValidationFigures
from muse_core.models.card import read_card

from .annotated import reviewed_store, store_run

SQUARES = [(20, 20, 160), (260, 20, 160), (20, 260, 160), (260, 260, 160)]


@pytest.mark.parametrize("mode", ["full", "adapt"])
def test_a_run_that_ends_as_its_model_is_measured_measures_it_when_resumed(
    tmp_path: Path, mode: Literal["full", "adapt"]
) -> None:
    config = store_run(
        tmp_path,
        reviewed_store(tmp_path, SQUARES),
        mode=mode,
        steps=2,
        batch=1,
        validate_every=1,
        views=ViewConfig(crop_px=96),
        consistency=ConsistencyConfig(weight=0.0),
        adapt=AdaptConfig(most_views=1, margin_px=32),
    )
    whole = b""

    def damage(figures: ValidationFigures) -> None:
        nonlocal whole
        if figures["step"] == 2:
            whole = config.out.read_bytes()
            config.out.write_bytes(b"")

    with pytest.raises(UserError, match=r"out\.safetensors"):
        finetune(config, Listener(on_metrics=damage))
    config.out.write_bytes(whole)
    steps: list[int] = []
    result = finetune(config, Listener(on_loss=lambda step, _: steps.append(step)))
    assert not steps
    assert result.after is not None
    assert read_card(config.out).metrics["after"] == result.after
    assert not config.out.with_suffix(".checkpoint").exists()
