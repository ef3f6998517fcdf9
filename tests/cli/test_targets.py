"""Results written through links, to pipes and to standard output."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from muse_core.classify.feature_file import is_feature_file
from muse_core.models.card import read_card
from muse_core.nuclei import nucleus_table, read_csv, write_csv

from ..data.datasets.layouts import ocelot
from ..job_inputs import write_model, write_points_folder, write_slide
from .running import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path]:
    write_csv(nucleus_table([10, 200], [10, 300], "a"), tmp_path / "n.csv", 0.5)
    (tmp_path / "real").mkdir()
    return write_slide(tmp_path / "s.png", 400, 400), write_model(tmp_path / "m.safetensors")


def _link(folder: Path, name: str) -> Path:
    link = folder / f"link-{name}"
    link.symlink_to(Path("real") / name)
    return link


def test_links_stay_and_what_they_lead_to_is_written(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    slide, model = inputs
    out, real = _link(tmp_path, "o.csv"), tmp_path / "real"
    (real / "o.csv").write_text("old")
    (real / "o.csv").chmod(0o640)
    options = ("--mpp", 0.5, "--model", model)
    assert run("detect", slide, "--out", out, *options) == 0
    assert len(read_csv(real / "o.csv"))
    assert stat.S_IMODE((real / "o.csv").stat().st_mode) == 0o640

    features = _link(tmp_path, "f.zarr")
    for _ in range(2):
        command = ("features", slide, "--points", tmp_path / "n.csv", "--out", features)
        assert run(*command, *options) == 0
        assert is_feature_file(real / "f.zarr")

    for name in ("o.geojson", "o.parquet", "o.h5ad"):
        assert run("convert", out, _link(tmp_path, name)) == 0
        assert (real / name).is_file()

    points = _link(tmp_path, "points")
    (real / "points").mkdir()
    assert run("dataset", "convert", "ocelot", ocelot(tmp_path / "in"), "--out", points) == 0
    assert (real / "points" / "dataset.json").is_file()

    rois = _link(tmp_path, "rois")
    (real / "rois").mkdir()
    scale = ("--mpp", 0.5, "--roi-mpp", 0.5)
    assert run("rois", slide, "--points", tmp_path / "n.csv", "--out", rois, *scale) == 0
    assert (real / "rois" / "manifest.json").is_file()

    tuned = _link(tmp_path, "tuned.safetensors")
    folder = write_points_folder(tmp_path / "train")
    tune: tuple[object, ...] = (
        "finetune",
        "--train",
        folder,
        "--mode",
        "adapt",
        "--steps",
        2,
        "--out",
        tuned,
    )
    assert run(*tune, *options) == 0
    assert read_card(real / "tuned.safetensors").classes

    assert (real / "tuned.config.json").is_file()
    assert all(p.is_symlink() for p in tmp_path.glob("link-*"))
    assert not [p for p in tmp_path.rglob(".*") if p.suffix in (".partial", ".old")]


def test_the_longest_name_is_written(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    slide, model = inputs
    out = tmp_path / f"{'ü' * 125}.csv"
    assert run("detect", slide, "--out", out, "--mpp", 0.5, "--model", model) == 0
    assert len(read_csv(out))
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_nuclei_alone_come_out_of_standard_output(inputs: tuple[Path, Path]) -> None:
    slide, model = inputs
    command = ["detect", slide, "--out", "/dev/stdout", "--mpp", "0.5", "--model", model]
    for more in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "muse_core.cli", *map(str, command), *more],
            capture_output=True,
            text=True,
            check=True,
        )
        head, *rows = done.stdout.splitlines()
        assert head.startswith("id,x_px,y_px")
        assert rows
        assert {row.count(",") for row in rows} == {head.count(",")}
        assert f"{len(rows)}" in done.stderr


def test_into_a_pipe(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    slide, model = inputs
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert run("detect", slide, "--out", pipe, "--mpp", 0.5, "--model", model) == 0
    reader.join()
    assert read[0].startswith("id,x_px,y_px")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("command", ["features", "finetune", "import", "dataset", "rois"])
def test_what_is_no_single_file_or_read_again_needs_a_place_of_its_own(
    inputs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    slide, model = inputs
    arguments: dict[str, tuple[object, ...]] = {
        "features": ("features", slide, "--points", tmp_path / "n.csv", "--model", model),
        "finetune": ("finetune", "--train", write_points_folder(tmp_path / "t"), "--model", model),
        "import": ("models", "import", model),
        "dataset": ("dataset", "convert", "ocelot", ocelot(tmp_path / "in")),
        "rois": ("rois", slide, "--points", tmp_path / "n.csv"),
    }
    scale = () if command in ("import", "dataset") else ("--mpp", 0.5)
    assert run(*arguments[command], *scale, "--out", os.devnull) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {'Cannot write ' if command != 'dataset' else ''}{os.devnull}")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
