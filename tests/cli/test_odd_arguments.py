"""Odd arguments from shells, file managers and typing errors end in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from muse_core.models.registry import resolve_model

from ..job_inputs import write_model, write_points_folder, write_slide
from ..slides.slide_files import write_ome_zarr
from .running import run

LONG = "m" * 300
NUCLEI = "x_px,y_px,class\n10,10,tumor\n20,30,tumor\n"


def _sentence(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The message of a refused command: one line."""
    capsys.readouterr()
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


@pytest.fixture
def beside_a_slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of commands, with the slide s.png and nothing else."""
    monkeypatch.chdir(tmp_path)
    write_slide(tmp_path / "s.png", 64, 64)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["detect", "", "--out", "n.csv"],
        ["detect", "s.png", "--out", ""],
        ["detect", "s.png", "--out", "n.csv", "--model", ""],
        ["detect", "s.png", "--out", "n.csv", "--image", ""],
        ["detect", "s.png", "--out="],
        ["features", "s.png", "--points", "n.csv", "--out", "f.zarr", "--model="],
        ["finetune", "--train", "", "--out", "m.safetensors"],
        ["models", "import", ""],
    ],
)
def test_what_an_unset_variable_leaves_is_refused(
    arguments: list[str], beside_a_slide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _sentence(capsys, *arguments)
    assert "is empty" in said or "followed by nothing" in said
    assert [p.name for p in beside_a_slide.iterdir()] == ["s.png"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["detect", "s.png", "--mpp", "0.5", "--out", "-"],
        ["detect", "s.png", "--mpp", "0.5", "--out=-"],
        ["detect", "-", "--out", "n.csv"],
        ["convert", "-", "n.csv"],
        ["finetune", "--train", "t", "--mpp", "0.5", "--out", "-"],
        ["rois", "s.png", "--mpp", "0.5", "--out", "-"],
    ],
)
def test_a_dash_makes_no_file_of_that_name(
    arguments: list[str], beside_a_slide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "- is no file here" in _sentence(capsys, *arguments)
    assert [p.name for p in beside_a_slide.iterdir()] == ["s.png"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["detect", LONG, "--out", "n.csv"],
        ["detect", "s.png", "--mpp", "0.5", "--out", f"{LONG}.csv"],
        ["detect", "s.png", "--mpp", "0.5", "--out", "n.csv", "--model", LONG],
        ["detect", "s.png", "--mpp", "0.5", "--out", "n.csv", "--config", f"{LONG}.toml"],
        ["info", LONG],
        ["convert", f"{LONG}.csv", "n.csv"],
        ["convert", "n.geojson", f"{LONG}.csv"],
        ["features", "s.png", "--points", "p.csv", "--mpp", "0.5", "--out", f"{LONG}.zarr"],
        ["rois", "s.png", "--points", LONG, "--mpp", "0.5", "--out", "r"],
        ["rois", "s.png", "--points", "p.csv", "--mpp", "0.5", "--out", LONG],
        ["relearn", f"{LONG}.muse"],
        ["evaluate", "detect", LONG, "--mpp", "0.5"],
        ["models", "import", f"{LONG}.pth"],
        ["pretrain", "--config", f"{LONG}.toml"],
        ["finetune", "--train", LONG, "--mpp", "0.5", "--out", "m.safetensors"],
        ["finetune", "--annotations", LONG, "--out", "m.safetensors"],
        ["dataset", "convert", "consep", LONG, "--out", "o"],
    ],
    ids=lambda arguments: " ".join(a[:12] for a in arguments[:6]),
)
def test_names_that_are_too_long(
    arguments: list[str], beside_a_slide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (beside_a_slide / "p.csv").write_text(NUCLEI)
    before = sorted(Path().iterdir())
    _sentence(capsys, *arguments)
    assert sorted(Path().iterdir()) == before


def test_a_slide_named_by_a_dot_has_the_name_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = tmp_path / "case.zarr"
    group = zarr.open_group(slide, mode="w", zarr_format=2)
    array = group.create_array("0", shape=(3, 64, 64), chunks=(3, 64, 64), dtype="uint8")
    array[...] = np.random.default_rng(0).integers(0, 255, array.shape, np.uint8)
    scale = [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    facts: dict[str, object] = {"version": "0.4", "axes": axes}
    facts["datasets"] = [{"path": "0", "coordinateTransformations": scale}]
    (slide / ".zattrs").write_text(json.dumps({"multiscales": [facts]}))
    monkeypatch.chdir(slide)
    for spelling in (".", "./", "0/.."):
        assert run("info", spelling, "--json") == 0
        assert json.loads(capsys.readouterr().out)["name"] == "case.zarr"
    model = write_model(tmp_path / "m.safetensors")
    assert run("detect", ".", "--model", model, "--out", tmp_path / "n.geojson") == 0
    assert json.loads((tmp_path / "n.geojson").read_text())["muse"]["slide"]["name"] == "case.zarr"

    (tmp_path / "none").mkdir()
    monkeypatch.chdir(tmp_path / "none")
    assert "error: none is a folder without" in _sentence(capsys, "info", ".")
    assert "error: / is a folder without" in _sentence(capsys, "info", "/")


@pytest.mark.skipif(sys.platform == "win32", reason="there no name holds a line break")
def test_a_name_of_several_lines_makes_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "a\nb\x1b[31m.png"
    bad.write_text("no image")
    assert r"a\nb\x1b[31m.png is not an image" in _sentence(capsys, "info", bad)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are text")
def test_names_that_are_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slide = write_slide(tmp_path / "s\udcff.png", 64, 64)
    (tmp_path / "p.csv").write_text(NUCLEI)
    out, wide = tmp_path / "n\udcff.csv", {**os.environ, "PYTHONIOENCODING": "latin-1"}
    convert = ("-m", "muse_core.cli", "convert", tmp_path / "p.csv", out, "--mpp", "0.5")
    done = subprocess.run([sys.executable, *convert], env=wide, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.strip().endswith(rb"n\udcff.csv.")
    assert out.is_file()
    detect = ("detect", "--mpp", 0.5, "--out")
    assert r"s\udcff.png' is a name that is no text" in _sentence(capsys, *detect, "n.csv", slide)
    slide = slide.rename(tmp_path / "s.png")
    assert r"n\udcff.csv' is a name that is no text" in _sentence(capsys, *detect, out, slide)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--model-mpp", "0"),
        ("--model-mpp", "nan"),
        ("--model-mpp", "inf"),
        ("--model-mpp", "-1"),
        ("--seed", "-1"),
        ("--learning-rate", "nan"),
        ("--learning-rate", "1e400"),
        ("--learning-rate", "0"),
        ("--fov-px", "0"),
    ],
)
def test_numbers_that_a_probe_cannot_have(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, model = write_points_folder(tmp_path / "t"), write_model(tmp_path / "m.safetensors")
    asked = ("--train", folder, "--test", folder, "--mpp", 0.5, "--model", model)
    _sentence(capsys, "evaluate", "probe", *asked, option, value)


def test_zero_is_not_the_same_as_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = write_slide(tmp_path / "s.png", 64, 64)
    (tmp_path / "p.csv").write_text(NUCLEI)
    (tmp_path / "list.csv").write_text("slide,mpp\ns.png,0\n")
    asked = ("--model", write_model(tmp_path / "m.safetensors"), "--out")
    points = ("--points", tmp_path / "p.csv", "--mpp", 0.5, *asked, tmp_path / "f.zarr")
    assert "field of view" in _sentence(capsys, "features", slide, *points, "--fov-px", 0)
    detect = ("detect", slide, "--mpp", 0.5, *asked, tmp_path / "n.csv")
    assert "A tile needs" in _sentence(capsys, *detect, "--set", "tile_px=0")
    assert run("detect", tmp_path / "list.csv", *asked, tmp_path / "results") == 1
    assert "must lie between 0.01 and 100, got 0" in capsys.readouterr().err
    made = ("--out", tmp_path / "d", "--out-mpp", 0)
    assert "got 0" in _sentence(capsys, "dataset", "convert", "ocelot", tmp_path, *made)
    assert "got 0" in _sentence(capsys, "models", "fetch", "muse-r50", "--model-mpp", 0)
    folder = write_points_folder(tmp_path / "t")
    evaluated = ("evaluate", "detect", folder, "--mpp", 0.5, "--model", resolve_model())
    assert "seed" in _sentence(capsys, *evaluated, "--seed", -1)
    assert not {"f.zarr", "n.csv", "d"} & {p.name for p in tmp_path.iterdir()}


def test_settings_that_do_not_fit_the_tiles_get_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = write_slide(tmp_path / "s.png", 800, 600)
    model = write_model(tmp_path / "m.safetensors")
    options = ("--out", tmp_path / "o.csv", "--mpp", 0.5, "--model", model, "--set", "tile_px=320")
    assert run("detect", slide, *options, "--set", "seam_radius_um=60") == 2
    assert "lower seam_radius_um" in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists()


def test_a_format_for_one_file_by_its_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = write_slide(tmp_path / "s.png", 200, 200)
    for name in ("o.parquet", "o.csv"):
        assert run("detect", slide, "--out", tmp_path / name, "--format", "csv") == 2
        assert f"{name} is the name of one file; with --format it is" in capsys.readouterr().err
        assert not (tmp_path / name).exists()


def test_nothing_is_written_into_a_slide_that_is_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(100, 200, (128, 128, 3), np.uint8)
    slide = write_ome_zarr(tmp_path / "s.zarr", [pixels])
    points = tmp_path / "n.csv"
    points.write_text("x_px,y_px,class\n10,10,a\n")
    before = sorted(slide.rglob("*"))
    model = ("--model", write_model(tmp_path / "m.safetensors"))
    for command in (
        ("detect", slide, "--out", slide / "n.csv", *model),
        ("detect", slide, "--out", slide / "0" / "n.zarr", *model),
        ("detect", slide, "--out", f"{slide / 'results'}{os.sep}", *model),
        ("detect", slide, slide, "--out", slide / "results", *model),
        ("features", slide, "--points", points, "--out", slide / "f.zarr", *model),
        ("rois", slide, "--out", slide / "rois", *model),
    ):
        assert run(*command) == 2
        assert "it would lie in s.zarr, which is read" in capsys.readouterr().err
    assert sorted(slide.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("convert", "p.csv", "p.geojson", "--other-slide"), "--slide"),
        (("convert", "p.csv", "p.geojson", "--image", "2"), "--slide"),
        (("rois", "s.png", "--mpp", "0.5", "--out", "rois", "--other-slide"), "--points"),
    ],
)
def test_an_option_that_needs_another_names_it(
    beside_a_slide: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    missing: str,
) -> None:
    (beside_a_slide / "p.csv").write_text(NUCLEI)
    assert f"with {missing}." in _sentence(capsys, *arguments)
    assert sorted(p.name for p in beside_a_slide.iterdir()) == ["p.csv", "s.png"]
