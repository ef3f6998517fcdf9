"""`muse evaluate detect`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ..job_inputs import CLASSES, write_points_folder
from .running import Capture, error_line, run


def test_evaluate_detect(folder: Path, capsys: Capture) -> None:
    model = ("--model", folder / "tiny.safetensors", "--device", "cpu")
    assert run("evaluate", "detect", folder / "points", "--mpp", 0.5, *model, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["n_images"] == 2
    assert 0 <= figures["f_det"] <= 1
    assert set(figures["f_class"]) == set(CLASSES)
    assert figures["f_avg"] == pytest.approx(np.mean(list(figures["f_class"].values())))
    assert run("evaluate", "detect", folder / "points", "--mpp", 0.5, *model) == 0
    assert f"F det   {figures['f_det']:.4f}" in capsys.readouterr().out


def test_without_annotated_or_found_nuclei_there_are_no_figures(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "points").mkdir()
    Image.new("RGB", (64, 64), (240, 240, 240)).save(tmp_path / "images" / "glass.png")
    (tmp_path / "points" / "glass.csv").write_text("x,y,class\n")
    model = ("--model", folder / "tiny.safetensors", "--device", "cpu")
    assert run("evaluate", "detect", tmp_path, "--mpp", 0.5, *model) == 0
    said = capsys.readouterr()
    assert f"In {tmp_path} no nucleus is annotated." in said.err
    assert "none: neither annotated nor found\n" in said.out
    assert "precision" not in said.out


def test_images_are_counted_at_a_terminal(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes standard error for a terminal
    model = ("--model", folder / "tiny.safetensors", "--device", "cpu")
    assert run("evaluate", "detect", folder / "points", "--mpp", 0.5, *model) == 0
    assert "2/2" in capsys.readouterr().err


def test_evaluate_detect_on_other_classes_leaves_the_class_figures_out(
    folder: Path, capsys: Capture
) -> None:
    model = ("--model", folder / "tiny.safetensors", "--device", "cpu")
    other = ("evaluate", "detect", folder / "other-classes", "--mpp", 0.5, *model)
    assert run(*other, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["f_det"] is not None
    assert (figures["f_avg"], figures["f_class"]) == (None, None)
    assert run(*other) == 0
    assert "not measured: the model has no class mast, plasma\n" in capsys.readouterr().out


@pytest.mark.parametrize("points", [None, "x,y\n1,2\n", "x,y,class\n1,oops,tumor\n", ""])
def test_evaluate_refuses_a_folder_that_is_none(
    points: str | None, folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    broken = tmp_path / "points"
    if points is not None:
        write_points_folder(broken)
        (broken / "points" / "0.csv").write_text(points)
    model = ("--model", folder / "tiny.safetensors", "--device", "cpu")
    assert run("evaluate", "detect", broken, "--mpp", 0.5, *model) == 2
    assert "points" in error_line(capsys)
