"""The scripts in examples/, run as their docstrings say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from .job_inputs import write_model, write_points_folder, write_slide
from .scripts import run_script

EXAMPLES = Path(__file__).parents[1] / "examples"


def _run(name: str, *arguments: object) -> str:
    return run_script(EXAMPLES / name, *arguments)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "m.safetensors")


def test_detect_and_plot(model: Path, tmp_path: Path) -> None:
    slide, out = write_slide(tmp_path / "s.png"), tmp_path / "n.png"
    options = ("--mpp", 0.5, "--region", "100,50,400,300", "--model", model, "--out", out)
    assert "lymphocyte" in _run("detect_and_plot.py", slide, *options)
    with Image.open(out) as picture:
        assert picture.size == (400, 300)


def test_finetune_points_folder(model: Path, tmp_path: Path) -> None:
    folder = write_points_folder(tmp_path / "points")
    options = ("--mpp", 0.5, "--base", model, "--steps", 2, "--out", tmp_path / "mine.safetensors")
    said = _run("finetune_points_folder.py", folder, *options)
    assert "mine.safetensors: F det" in said
    assert (tmp_path / "mine.safetensors").is_file()


def test_nulo_step() -> None:
    assert 0 < float(_run("nulo_step.py").removeprefix("NuLo ")) < 20


def test_new_slide_reader(model: Path, tmp_path: Path) -> None:
    with Image.open(write_slide(tmp_path / "s.png", 512, 768)) as whole:
        for row in range(3):
            for column in range(2):
                x, y = column * 256, row * 256
                whole.crop((x, y, x + 256, y + 256)).save(tmp_path / f"{row}_{column}.png")
    said = _run("new_slide_reader.py", tmp_path, "--mpp", 0.5, "--model", model)
    assert "tiles, 512 x 768 px, 0.5 um/px" in said
    assert int(said.splitlines()[1].removesuffix(" nuclei")) > 0


def test_new_dataset(tmp_path: Path) -> None:
    write_slide(tmp_path / "a.png", 200, 100)
    nuclei = [{"x": 100.0, "y": 51.0, "label": "tumor"}]
    (tmp_path / "a.json").write_text(json.dumps(nuclei))
    assert "{'tumor': 1}" in _run("new_dataset.py", tmp_path, "--out", tmp_path / "points")
    assert (tmp_path / "points/points/a.csv").read_text() == "x,y,class\n50.0,25.5,tumor\n"
