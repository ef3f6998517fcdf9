from __future__ import annotations

from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.models.card import read_card
from muse_core.pretrain.train import pretrain

from .roi_folder import tiny_config, write_rois


def test_the_backbone_is_never_older_than_the_checkpoint(tmp_path: Path) -> None:
    config = tiny_config(write_rois(tmp_path / "rois", 1), tmp_path / "out")
    backbone, aside = config.out / "backbone.safetensors", tmp_path / "aside"

    def in_the_way(step: int, *_: object) -> None:
        if step == 5:
            backbone.rename(aside)
            (backbone / "folder").mkdir(parents=True)

    with pytest.raises(UserError, match="backbone"):
        pretrain(config, on_progress=in_the_way)
    (backbone / "folder").rmdir()
    backbone.rmdir()
    aside.rename(backbone)
    assert read_card(backbone).training["steps"] == 4
    assert pretrain(config).steps_done == 6
    assert read_card(backbone).training["steps"] == 6


def test_a_batch_job_of_several_tasks_is_not_taken_for_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NTASKS": "4", "JOB_ID": "1", "JOB_NAME": "job", "PROCID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    config = tiny_config(write_rois(tmp_path / "rois", 1), tmp_path / "out")
    assert pretrain(config).steps_done == 6
