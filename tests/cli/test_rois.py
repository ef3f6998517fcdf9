from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from muse_core.nuclei import nucleus_table, write_csv
from muse_core.pretrain.roi_manifest import read_manifest

from ..job_inputs import write_model, write_slide
from .running import run


def test_rois_with_nuclei_of_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slides = [write_slide(tmp_path / f"{i}.png", 200, 160, seed=i) for i in range(2)]
    model, out = write_model(tmp_path / "m.safetensors"), tmp_path / "rois"
    options = ("--out", out, "--model", model, "--mpp", 0.5, "--roi-px", 128, "--json")
    assert run("rois", *slides, *options) == 2
    assert "--mpp" in capsys.readouterr().err
    for _ in range(2):
        assert run("rois", *slides, *options, "--slide-mpp", 0.5) == 0
        figures = json.loads(capsys.readouterr().out)
        assert (figures["slides"], figures["rois"]) == (2, 8)
        assert figures["nuclei"] > 0
    assert read_manifest(out).settings.nuclei == "tiny"


def test_rois_with_given_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slide, out = write_slide(tmp_path / "s.png", 200, 160), tmp_path / "rois"
    table = nucleus_table(np.array([10.0, 150.0]), np.array([20.0, 30.0]), ["a", "a"])
    write_csv(table, tmp_path / "s.csv", 0.5)
    options = ("--out", out, "--mpp", 1.0, "--roi-px", 64, "--slide-mpp", 0.5)
    assert run("rois", slide, *options, "--points", tmp_path / "s.csv", "--min-tissue", 0) == 0
    first, second = read_manifest(out).rois[:2]
    np.testing.assert_allclose(np.load((out / first.file).with_suffix(".npy")), [[5, 10]])
    np.testing.assert_allclose(np.load((out / second.file).with_suffix(".npy")), [[25, 15]])
    assert run("rois", slide, slide, *options, "--points", tmp_path / "s.csv") == 2
    assert "folder" in capsys.readouterr().err
