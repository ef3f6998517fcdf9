"""Nuclei of another slide given to a command are refused, unless the user insists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from muse_core.classify.feature_file import read_features
from muse_core.nuclei import NucleusFile, nucleus_table, read_nuclei, write_nuclei
from muse_core.nuclei.recorded_slide import RecordedSlide
from muse_core.nuclei.store import identify_slide
from muse_core.pretrain.roi_manifest import read_manifest

from ..job_inputs import write_model, write_slide
from .running import run

OTHER = RecordedSlide("other.svs", "sha256:0123456789abcdef")
SAYS = "The file says that it is of the slide other.svs, and not of s.png. --other-slide"


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_slide(tmp_path / "s.png", 200, 160)


def _nuclei(path: Path, slide: RecordedSlide | None, far_px: float = 0.0) -> Path:
    table = nucleus_table([10.0 + far_px, 150.0], [20.0, 30.0], ["a", "b"])
    write_nuclei(path, NucleusFile(table, mpp=0.5, slide=slide))
    return path


@pytest.mark.parametrize("name", ["n.csv", "n.geojson", "n.parquet"])
def test_convert(slide: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = _nuclei(slide.with_name(name), OTHER), slide.with_name("out.geojson")
    assert run("convert", source, out, "--slide", slide) == 2
    assert f"{name}: {SAYS}" in capsys.readouterr().err
    assert not out.exists()
    assert run("convert", source, out) == 0
    assert read_nuclei(out).slide == OTHER
    assert run("convert", source, out, "--slide", slide, "--other-slide") == 0
    assert read_nuclei(out).slide == identify_slide(slide).recorded


def test_rois(slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--points", slide.with_name("n.csv"), "--mpp", 0.5, "--roi-mpp", 0.5)
    out = slide.with_name("rois")
    _nuclei(slide.with_name("n.csv"), OTHER)
    assert run("rois", slide, "--out", out, *options) == 2
    assert SAYS in capsys.readouterr().err
    assert run("rois", slide, "--out", out, *options, "--other-slide") == 0
    assert sum(roi.n_nuclei for roi in read_manifest(out).rois) == 2
    _nuclei(slide.with_name("n.csv"), identify_slide(slide).recorded)
    assert run("rois", slide, "--out", slide.with_name("own"), *options) == 0


def test_features(slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = write_model(slide.with_name("m.safetensors")), slide.with_name("f.zarr")
    source = _nuclei(slide.with_name("n.csv"), OTHER)
    command = ("features", slide, "--points", source, "--out", out, "--model", model, "--mpp", 0.5)
    assert run(*command) == 2
    assert SAYS in capsys.readouterr().err
    assert not out.exists()
    assert run(*command, "--other-slide") == 0
    assert len(read_features(out).ids) == 2


def test_what_lies_beside_the_slide_is_counted_or_refused(
    slide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = slide.with_name("out.csv")
    source = _nuclei(slide.with_name("n.csv"), None, far_px=1000)
    assert run("convert", source, out, "--slide", slide) == 0
    said = "Of 2 objects in the file 1 nucleus lies beside this slide, which is 200 x 160 px."
    assert said in capsys.readouterr().err
    assert len(read_nuclei(out).table) == 2
    write_nuclei(source, NucleusFile(nucleus_table([1000.0], [20.0], "a"), mpp=0.5))
    assert run("convert", source, out, "--slide", slide) == 2
    assert "1 nucleus, lies beside this slide" in capsys.readouterr().err
    assert run("convert", source, out, "--slide", slide, "--other-slide") == 0
    assert "lies beside this slide" in capsys.readouterr().err


def test_detect_says_which_slide_its_file_is_of(
    slide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = write_model(slide.with_name("m.safetensors")), slide.with_name("found.geojson")
    assert run("detect", slide, "--model", model, "--mpp", 0.5, "--out", out) == 0
    assert json.loads(out.read_text())["muse"]["slide"]["name"] == "s.png"
    assert read_nuclei(out).slide == identify_slide(slide).recorded
    csv = slide.with_name("found.csv")
    assert run("detect", slide, "--model", model, "--mpp", 0.5, "--out", csv) == 0
    assert read_nuclei(csv).slide == identify_slide(slide).recorded
    capsys.readouterr()
    assert run("convert", csv, out, "--slide", slide) == 0
    assert "beside" not in capsys.readouterr().err


def test_an_image_is_of_a_slide(slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _nuclei(slide.with_name("n.csv"), None)
    assert run("convert", source, slide.with_name("o.csv"), "--image", 1) == 2
    assert "give it with --slide" in capsys.readouterr().err
    assert run("convert", source, slide.with_name("o.csv"), "--image", 1, "--slide", slide) == 0
