from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from multiprocessing import active_children
from pathlib import Path

import pytest

from muse_core.config_file import configuration
from muse_core.models.card import read_card
from muse_core.pretrain.config import PretrainConfig

from ..pretrain.roi_folder import write_rois
from .running import run

CONFIG = """
rois = {rois}
out = {out}
device = "cpu"
precision = "float32"
workers = 0

[model]
encoder = "resnet10t"
encoder_channels = [8, 16, 32, 64]
decoder_channels = [8, 8, 8, 8]
hyper_channels = 8

[views]
global_px = 64
local_px = 32
n_local = 1

[losses]
prototypes = 16
hidden_channels = 8
bottleneck_channels = 8

[schedule]
epochs = 2
epoch_samples = 2
batch = 2
"""


def test_pretrain_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rois, out = write_rois(tmp_path / "rois", 1), tmp_path / "out"
    config = tmp_path / "run.toml"
    # JSON strings are valid TOML strings, whatever the path contains.
    config.write_text(CONFIG.format(rois=json.dumps(str(rois)), out=json.dumps(str(out))))
    assert run("pretrain", "--config", config, "--json") == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["steps"] == 2
    assert read_card(figures["out"]).training["views"]["global_px"] == 64
    (out / "backbone.safetensors").unlink()
    assert run("pretrain", "--config", out / "config.json", "--json") == 0, (
        "a run can be told again"
    )
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (again["loss"], again["samples_per_s"]) == (None, None)
    assert read_card(again["out"]).training["steps"] == 2
    longer = ("--set", "schedule.epochs=3", "--restart", "--json")
    assert run("pretrain", "--config", config, *longer) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["steps"] == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rois = 'a'\nout = 'b'\nepochs = 3", "unknown field 'epochs'"),
        ("rois = 'a'\nout = 'b'\n[views]\nglobal_px = 100", "multiple of 16"),
        ("rois = 'a'\nout = 'b'\n[views]\nmpp = [0.6, 0.2]", "range"),
        ("rois = 'a'\nout = 'b'\n[schedule]\nbatch = '8'", "schedule.batch"),
        (f"rois = 'a'\nout = 'b'\n[schedule]\nepochs = {2**62}", "more than can be counted"),
        ("rois = 'a'\nout = 'b'\nworkers = 1_000_000", "workers lies between 0 and 256"),
        ("rois = 'a'\nout = 'b'\n[views]\nmpp = [0.2, 1000]", "0.01 to 100"),
        ("rois = 'a'\nout = 'b'\n[views]\nlocal_px = 16_000_000", "multiple of 16, from 32"),
        ("rois = 'a'\nout = 'b'\n[losses]\nprototypes = 1", "at least 2 prototypes"),
        ("rois = 'a'\nout = 'b'\n[losses]\nhidden_channels = 10_000_000", "sizes of the heads"),
        ("rois = 'a'\nout = 'b'\n[schedule]\nlearning_rate = 1e300", "at most 1e"),
        ("rois = 'a'\nout = 'b'\n[appearance]\nstain_shift = -1", "stain_shift"),
        ("rois = 'a'\nout = 'b'\n[model]\nlayers = 3", "layers"),
        ("rois = 'a'", "out"),
        ("rois = ", "cannot be understood"),
        ("rois = 'nowhere'\nout = 'b'\ndevice = 'cpu'", "muse rois"),
    ],
)
def test_a_wrong_file_gets_a_sentence(
    text: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(text)
    assert run("pretrain", "--config", "c.toml") == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"), [("RANK", "abc"), ("LOCAL_RANK", ""), ("RANK", "-1"), ("WORLD_SIZE", "2")]
)
def test_an_environment_of_other_processes_gets_a_sentence(
    name: str, value: str, tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text("rois = 'a'\nout = 'b'")
    done = subprocess.run(
        [sys.executable, "-m", "muse_core.cli", "pretrain", "--config", str(tmp_path / "c.toml")],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {name: value},
    )
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"error: The environment variable {name} is ")


def test_the_configuration_in_the_documentation_is_understood() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "pretrain.md"
    text = page.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    config = configuration(PretrainConfig, tomllib.loads(text), "pretrain.md")
    assert config.probe is not None
    assert config.losses.prototypes == 4096


def test_a_damaged_roi_ends_the_run_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rois = write_rois(tmp_path / "rois", 1)
    for image in rois.rglob("*.tif"):
        image.write_bytes(image.read_bytes()[:500])
    config = tmp_path / "run.toml"
    text = CONFIG.format(rois=json.dumps(str(rois)), out=json.dumps(str(tmp_path / "out")))
    config.write_text(text.replace("workers = 0", "workers = 2"))
    assert run("pretrain", "--config", config) == 2
    *_, said = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"error: \S+ is truncated: .*", said)
    assert not active_children()
