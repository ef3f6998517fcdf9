from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.models.card import read_card
from muse_core.pretrain.config import ProbeSetsConfig
from muse_core.pretrain.train import CHECKPOINT_NAME, pretrain
from muse_core.strict import plain_values

from ..job_inputs import write_points_folder
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


def test_a_refused_run_leaves_the_folder_of_an_earlier_one_as_it_is(tmp_path: Path) -> None:
    config = tiny_config(write_rois(tmp_path / "rois", 1), tmp_path / "out")
    pretrain(config)
    before = {p: p.read_bytes() for p in config.out.rglob("*") if p.is_file()}
    in_three = dataclasses.replace(config.schedule, accumulate=3)
    with pytest.raises(UserError, match="cannot be shared"):
        pretrain(dataclasses.replace(config, schedule=in_three), resume=False)
    assert {p: p.read_bytes() for p in config.out.rglob("*") if p.is_file()} == before


def test_images_to_watch_are_read_before_the_first_step(tmp_path: Path) -> None:
    config = tiny_config(write_rois(tmp_path / "rois", 1), tmp_path / "out")
    one_class = write_points_folder(tmp_path / "labelled", ("a",))
    steps: list[int] = []
    for folder, words in ((tmp_path / "nowhere", "no folder"), (one_class, "only one class")):
        watched = dataclasses.replace(config, probe=ProbeSetsConfig(folder, folder, 0.5))
        with pytest.raises(UserError, match=words):
            pretrain(watched, on_progress=lambda done, *_: steps.append(done))
    assert not steps


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_a_process_whose_partner_is_killed_ends_with_a_sentence(tmp_path: Path) -> None:
    config = tiny_config(write_rois(tmp_path / "rois", 1), tmp_path / "out")
    endless = dataclasses.replace(config.schedule, epochs=1000)
    values = plain_values(dataclasses.replace(config, schedule=endless, checkpoint_steps=1))
    (tmp_path / "run.json").write_text(json.dumps(values))
    command = [sys.executable, "-m", "muse_core.cli", "pretrain", "--config"]
    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    group |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    first, second = (
        subprocess.Popen(
            [*command, str(tmp_path / "run.json")],
            env=os.environ | group | {"RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    )
    while not (config.out / CHECKPOINT_NAME).is_file() and first.poll() is None:
        time.sleep(0.05)
    second.kill()
    second.communicate()
    _, said = first.communicate()
    assert first.returncode == 2, said
    assert "error: Another process of this run has ended or is out of reach." in said
    assert "Traceback" not in said


@pytest.mark.parametrize("rank", ["0", "3"])
def test_a_rank_without_torchrun_is_none(
    rank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    config = tiny_config(write_rois(tmp_path / "rois", 1), tmp_path / "out")
    assert pretrain(config).steps_done == 6
    assert (config.out / "backbone.safetensors").is_file()


@pytest.mark.parametrize("size", ["2", "abc", "-1"])
def test_several_processes_without_torchrun_are_not_waited_for(
    size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    config = tiny_config(write_rois(tmp_path / "rois", 1), tmp_path / "out")
    with pytest.raises(UserError, match=f"WORLD_SIZE is {size}, but torchrun has not started"):
        pretrain(config)
    assert not config.out.exists()
