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
    options = ("--out", out, "--model", model, "--roi-mpp", 0.5, "--roi-px", 128, "--json")
    assert run("rois", *slides, *options) == 2
    assert "with --mpp on the command line" in capsys.readouterr().err
    for _ in range(2):
        assert run("rois", *slides, *options, "--mpp", 0.5) == 0
        figures = json.loads(capsys.readouterr().out)
        assert (figures["slides"], figures["rois"]) == (2, 8)
        assert figures["nuclei"] > 0
    assert read_manifest(out).settings.nuclei == "tiny"


def test_rois_with_given_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slide, out = write_slide(tmp_path / "s.png", 200, 160), tmp_path / "rois"
    table = nucleus_table(np.array([10.0, 150.0]), np.array([20.0, 30.0]), ["a", "a"])
    write_csv(table, tmp_path / "s.csv", 0.5)
    options = ("--out", out, "--roi-mpp", 1.0, "--roi-px", 64, "--mpp", 0.5)
    assert run("rois", slide, *options, "--points", tmp_path / "s.csv", "--min-tissue", 0) == 0
    first, second = read_manifest(out).rois[:2]
    np.testing.assert_allclose(np.load((out / first.file).with_suffix(".npy")), [[5, 10]])
    np.testing.assert_allclose(np.load((out / second.file).with_suffix(".npy")), [[25, 15]])
    assert run("rois", slide, slide, *options, "--points", tmp_path / "s.csv") == 2
    assert "folder" in capsys.readouterr().err


def test_nuclei_on_the_edge_are_cut_too_and_deleted_ones_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide, out = write_slide(tmp_path / "s.png", 200, 160), tmp_path / "rois"
    x, y = [0.0, 200.0, 201.0, -1.0, 100.0, 50.0], [0.0, 160.0, 80.0, 161.0, 160.5, 50.0]
    status = ["predicted"] * 5 + ["deleted"]
    write_csv(nucleus_table(x, y, "a", status=status), tmp_path / "s.csv", 0.5)
    options = ("--mpp", 0.5, "--roi-mpp", 0.5, "--roi-px", 100, "--min-tissue", 0, "--json")
    assert run("rois", slide, "--out", out, "--points", tmp_path / "s.csv", *options) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["nuclei"] == 5
    assert said.err == ""
    found = [
        np.array([roi.x_px, roi.y_px]) + np.load((out / roi.file).with_suffix(".npy"))
        for roi in read_manifest(out).rois
    ]
    got = sorted(np.concatenate(found).round(1).tolist())
    assert got == [[0, 0], [0, 160], [100, 160], [200, 80], [200, 160]]


def test_slides_that_would_share_one_file_of_points_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b").mkdir()
    first, second = (write_slide(tmp_path / n, 200, 160) for n in ("s.png", "b/s.png"))
    third = write_slide(tmp_path / "s.tif", 200, 160)
    write_csv(nucleus_table([10.0], [20.0], "a"), tmp_path / "s.csv", 0.5)
    options = ("--points", tmp_path, "--mpp", 0.5, "--roi-mpp", 0.5, "--out", tmp_path / "rois")
    for other in (second, third):
        assert run("rois", first, other, *options) == 2
        assert "would both get the nuclei of s.csv" in capsys.readouterr().err
    assert not (tmp_path / "rois").exists()

    assert run("rois", first, tmp_path / "." / "s.png", *options) == 0
    assert len(read_manifest(tmp_path / "rois").sources) == 1


def test_nuclei_of_an_ome_tiff_have_the_name_that_detection_gives_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = write_slide(tmp_path / "s.ome.tif", 200, 160)
    model, options = write_model(tmp_path / "m.safetensors"), ("--mpp", 0.5, "--roi-mpp", 0.5)
    assert run("detect", slide, *options[:2], "--model", model, "--out", f"{tmp_path}/n/") == 0
    given = ("--points", tmp_path / "n", *options)
    assert run("rois", slide, *given, "--out", tmp_path / "one") == 0
    (roi,) = read_manifest(tmp_path / "one").rois
    assert roi.n_nuclei == len((tmp_path / "n" / "s.csv").read_text().splitlines()) - 1

    other = write_slide(tmp_path / "s.tif", 200, 160, seed=1)
    assert run("rois", slide, other, *given, "--out", tmp_path / "two") == 2
    assert "would both get the nuclei of s.csv" in capsys.readouterr().err
    write_csv(nucleus_table([10.0, 20.0], [20.0, 9.0], "a"), tmp_path / "n" / "s.ome.csv", 0.5)
    assert run("rois", slide, *given, "--out", tmp_path / "own") == 0
    (roi,) = read_manifest(tmp_path / "own").rois
    assert roi.n_nuclei == 2


def test_nothing_is_left_where_the_first_slide_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = write_slide(tmp_path / "good.png", 200, 160), tmp_path / "bad.png"
    bad.write_text("no image")
    (tmp_path / "loop.png").symlink_to("loop.png")
    write_csv(nucleus_table([10.0], [20.0], "a"), tmp_path / "good.csv", 0.5)
    out = tmp_path / "deep" / "rois"
    options = ("--points", tmp_path, "--mpp", 0.5, "--roi-mpp", 0.5, "--out", out)
    for first in (bad, tmp_path / "loop.png", tmp_path / "none.png"):
        assert run("rois", first, good, *options) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert run("rois", good, *options, "--mpp", 0) == 2
    (tmp_path / "good.csv").rename(tmp_path / "other.csv")
    assert run("rois", good, *options) == 2
    assert not out.parent.exists()

    (tmp_path / "other.csv").rename(tmp_path / "good.csv")
    assert run("rois", good, bad, *options) == 2
    assert [s.name for s in read_manifest(out).sources] == ["good.png"]
    assert run("rois", good, *options[:-1], bad) == 2
    assert "bad.png is no folder" in capsys.readouterr().err
