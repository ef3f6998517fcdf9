"""Each command on a full disk: one sentence, exit code 2, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import nucleus_table, write_csv
from muse_core.pretrain.train import pretrain
from muse_core.strict import plain_values

from ..data.datasets.layouts import ocelot
from ..job_inputs import write_model, write_points_folder, write_slide
from ..pretrain.roi_folder import tiny_config, write_rois
from ..small_disk import fill, small_disk
from .running import run

FULL = "No space left on device."


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk without room."""
    with small_disk(tmp_path / "full") as folder:
        fill(folder)
        yield folder


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    write_model(tmp_path / "m.safetensors")
    x, y = np.random.default_rng(0).uniform(10, 480, (2, 400))
    write_csv(nucleus_table(x, y, "a"), tmp_path / "n.csv", 0.5)
    return write_slide(tmp_path / "s.png")


def _refused(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: object) -> None:
    assert run(*arguments) == 2
    said = capsys.readouterr()
    *before, line = said.err.splitlines()
    # Fine-tuning has printed the figures of its initial model; others print nothing.
    assert not before or before[0].startswith("step 0 ")
    assert said.err.lower().count("error") == 1
    assert line.startswith(f"error: Cannot write {folder}")
    assert line.endswith(FULL)
    assert said.out == ""


def test_detect(full: Path, slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = slide.with_name("m.safetensors")
    _refused(capsys, full, "detect", slide, "--out", full / "n.csv", "--mpp", 0.5, "--model", model)
    assert [p.name for p in full.iterdir()] == ["ballast"]


@pytest.mark.parametrize("pages", range(2, 9))
def test_a_detection_that_is_kept_says_so_wherever_the_disk_was_full(
    tmp_path: Path, slide: Path, capsys: pytest.CaptureFixture[str], pages: int
) -> None:
    (tmp_path / "small.toml").write_text("tile_px = 192\nhalo_px = 32\n")
    options = ("--mpp", 0.5, "--model", slide.with_name("m.safetensors"))
    with small_disk(tmp_path / "full", f"{4 * pages}k") as full:
        out = full / "n.csv"
        end = run("detect", slide, "--out", out, *options, "--config", tmp_path / "small.toml")
        said, kept = capsys.readouterr(), sorted(p.name for p in full.iterdir())
        if end == 0:
            assert kept == ["n.csv"]
            return
        assert end == 2
        assert said.err.startswith(f"error: Cannot write {out}: {FULL}")
        assert ("The same command goes on from there." in said.err) == bool(kept)
        assert all(name.startswith(".n.csv.muse-") for name in kept)


def test_features(full: Path, slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--points", slide.with_name("n.csv"), "--model", slide.with_name("m.safetensors"))
    _refused(capsys, full, "features", slide, *options, "--mpp", 0.5, "--out", full / "f.zarr")
    assert [p.name for p in full.iterdir()] == ["ballast"]


@pytest.mark.parametrize("name", ["o.csv", "o.geojson", "o.geojson.gz", "o.parquet", "o.h5ad"])
def test_convert(full: Path, slide: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    _refused(capsys, full, "convert", slide.with_name("n.csv"), full / name)
    assert [p.name for p in full.iterdir()] == ["ballast"]


def test_rois(full: Path, slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--points", slide.with_name("n.csv"), "--mpp", 0.5, "--roi-mpp", 0.5)
    _refused(capsys, full, "rois", slide, "--out", full / "rois", *options)
    assert not list(full.rglob("*.partial"))


@pytest.mark.parametrize("kib", [4, 8, 16, 32, 64, 128])
def test_rois_that_are_kept_say_so(
    full: Path, slide: Path, capsys: pytest.CaptureFixture[str], kib: int
) -> None:
    options = ("--points", slide.with_name("n.csv"), "--mpp", 0.5, "--roi-mpp", 0.5)
    ballast = full / "ballast"
    os.truncate(ballast, ballast.stat().st_size - kib * 1024)
    command = ("rois", slide, "--out", full / "rois", "--roi-px", 128, *options)
    if run(*command) == 0:
        return
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: Cannot write {full}")
    kept = (full / "rois" / "manifest.json").is_file()
    assert said.endswith("The same command goes on from there." if kept else FULL)
    ballast.unlink()
    assert run(*command) == 0


def test_a_dataset(full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = ocelot(tmp_path / "in")
    _refused(capsys, full, "dataset", "convert", "ocelot", source, "--out", full / "points")
    assert [p.name for p in full.iterdir()] == ["ballast"]


@pytest.mark.parametrize("mode", ["full", "adapt"])
def test_finetune(
    full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    folder = write_points_folder(tmp_path / "train")
    model = write_model(tmp_path / "base.safetensors")
    options = ["--train", folder, "--mpp", 0.5, "--model", model, "--mode", mode, "--steps", 2]
    if mode == "full":
        options += ["--sample-px", 64]
    _refused(capsys, full, "finetune", *options, "--batch", 1, "--out", full / "m.safetensors")
    assert [p.name for p in full.iterdir()] == ["ballast"]


@pytest.mark.parametrize("size", ["16k", "1m"])
def test_pretrain(tmp_path: Path, capsys: pytest.CaptureFixture[str], size: str) -> None:
    """Disks without room for the settings, and without room for the checkpoint."""
    with small_disk(tmp_path / "full", size) as full:
        config = tiny_config(write_rois(tmp_path / "rois"), full / "run")
        (tmp_path / "c.json").write_text(json.dumps(plain_values(config)))
        if size == "16k":
            fill(full)
        _refused(capsys, full, "pretrain", "--config", tmp_path / "c.json")
        assert not list(full.rglob(".*"))
        assert not list(full.rglob("*.checkpoint"))


def test_pretraining_that_has_a_checkpoint_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "50m") as folder:
        config = tiny_config(write_rois(tmp_path / "rois"), folder / "run")
        with pytest.raises(UserError, match=r"device\. The same command goes on"):
            pretrain(config, lambda step, steps, message: fill(folder) if step == 3 else None)
        (folder / "ballast").unlink()
        assert pretrain(config).steps_done == 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("arguments", [["models", "list"], ["models", "list", "--json"]])
def test_standard_output_may_be_a_full_disk_too(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "muse_core.cli", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == f"error: Cannot write: {FULL}\n"
