"""The recipes as they are run, on a small scale."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import tifffile

from muse_core.errors import UserError
from muse_core.models.checkpoint import load_backbone
from muse_core.pretrain.config import ScheduleConfig
from muse_core.pretrain.roi_manifest import read_manifest
from muse_core.slides import Region, open_slide

from ..scripts import run_script

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))

from pretrain_gpu import schedule_of

RECIPES = Path(__file__).parents[2] / "recipes"


def _run(script: str, *arguments: object) -> str:
    return run_script(RECIPES / script, *arguments)


def test_parts_join_to_the_same_file_and_damage_is_seen(tmp_path: Path) -> None:
    source = tmp_path / "w.bin"
    source.write_bytes(bytes(range(256)) * 100)
    _run("weight_parts.py", "split", source, tmp_path / "p", "--part-mb", 0.01)
    parts = sorted((tmp_path / "p").glob("w.bin.*"))
    assert [p.stat().st_size for p in parts] == [10_000, 10_000, 5_600]
    _run("weight_parts.py", "join", tmp_path / "p", tmp_path / "j.bin")
    assert (tmp_path / "j.bin").read_bytes() == source.read_bytes()
    parts[1].write_bytes(b"x" * 10_000)
    with pytest.raises(UserError, match=r"w\.bin\.001 is damaged"):
        _run("weight_parts.py", "join", tmp_path / "p", tmp_path / "k.bin")
    assert not (tmp_path / "k.bin").exists()


@pytest.mark.parametrize(
    ("steps", "epochs", "of_each"), [(25_000, 100, 250), (199, 100, 1), (7, 7, 1), (0, 1, 1)]
)
def test_a_given_time_has_as_many_epochs_as_the_paper(
    steps: int, epochs: int, of_each: int
) -> None:
    schedule = schedule_of(ScheduleConfig(batch=64), steps)
    assert (schedule.epochs, schedule.epoch_steps) == (epochs, of_each)


@pytest.fixture
def little_data(muse_data: Path, cmu_slide: Path, tmp_path: Path) -> Path:
    """A small file of each kind of source, for the slide a corner; one source is missing."""
    root = tmp_path / "data"
    for folder, pattern in (
        ("brcam2c/train/images", "*.png"),
        ("consep20x/train/images", "*.png"),
        ("unlabeled", "hgsc_*.jpg"),
    ):
        (root / folder).mkdir(parents=True)
        shutil.copy(min((muse_data / folder).glob(pattern)), root / folder)
    (root / "slides").mkdir()
    with open_slide(cmu_slide) as slide:
        corner = slide.read(Region(900, 900, 400, 400))
        per_cm = 1e4 / slide.require_mpp()
    tifffile.imwrite(
        root / "slides" / cmu_slide.name, corner, photometric="rgb", tile=(128, 128),
        resolution=(per_cm, per_cm), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return root


@pytest.mark.slow
def test_pretrains_for_a_moment_and_leaves_parts(little_data: Path, tmp_path: Path) -> None:
    options = {
        "--data": little_data,
        "--out": tmp_path,
        "--minutes": 0.01,
        "--networks": "small",
        "--batch": 2,
        "--global-px": 64,
        "--local-px": 32,
        "--prototypes": 64,
        "--workers": 0,
        "--device": "cpu",
        "--limit": 1,
    }
    said = _run("pretrain_gpu.py", *(part for pair in options.items() for part in pair))
    facts = json.loads(said.splitlines()[-1])
    assert facts["steps_done"] >= 1
    assert len(read_manifest(tmp_path / "rois").sources) == 4
    joined = tmp_path / "joined.safetensors"
    parts = tmp_path / "small" / "parts"
    assert all(p.stat().st_size <= 16e6 for p in parts.iterdir())
    _run("weight_parts.py", "join", parts, joined)
    _, card = load_backbone(joined)
    assert card.training["schedule"]["batch"] == 2


@pytest.mark.slow
def test_pretrains_a_vit_for_a_minute(muse_data: Path, tmp_path: Path) -> None:
    options = ("--data", muse_data, "--out", tmp_path, "--minutes", 1, "--networks", "vit-s")
    small = ("--batch", 2, "--workers", 0, "--device", "cpu", "--limit", 1)
    _run("pretrain_gpu.py", *options, *small)
    assert len(list((tmp_path / "vit-s" / "parts").glob("*.safetensors.*"))) == 4


def test_what_can_be_put_right_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        _run("muse_small.py", "--data", tmp_path / "missing", "--work", tmp_path / "work")
    assert str(ended.value).startswith(f"error: There is no folder {tmp_path / 'missing'}")
