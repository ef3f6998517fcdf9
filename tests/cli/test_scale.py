"""--mpp and --force-mpp mean the same in every command."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from muse_core.classify.feature_file import read_features
from muse_core.pretrain.roi_manifest import read_manifest

from ..job_inputs import write_model, write_slide
from .running import error_line, run

NOT_USED = "The file states 0.499 um/px, so the given 0.25 was not used"
FORCED = "The given 0.25 um/px is used in place of the 0.499 that the file states."
REGION = ("--region", "700,1200,256,256")


@dataclass(frozen=True)
class Case:
    """What is given, the scale that holds, where it comes from, and what is said."""

    force: tuple[str, ...]
    mpp: float
    source: str
    note: str


@pytest.fixture(
    params=[
        Case((), 0.499, "file", NOT_USED),
        Case(("--force-mpp",), 0.25, "forced", FORCED),
    ],
    ids=["stated", "forced"],
)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def test_info(cmu_slide: Path, capsys: pytest.CaptureFixture[str], case: Case) -> None:
    assert run("info", cmu_slide, "--mpp", 0.25, *case.force, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["mpp_um"], facts["mpp_from"]) == (case.mpp, case.source)
    assert facts["mpp_stated_um"] == 0.499
    assert any(case.note in n for n in facts["notes"])
    assert run("info", cmu_slide, "--mpp", 0.25, *case.force) == 0
    assert case.note in capsys.readouterr().out


def test_a_stated_scale_that_cannot_be_is_overridden_as_the_refusal_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.full((64, 64, 3), 255, np.uint8)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", pixels, photometric="rgb",
        metadata={"axes": "YXS", "PhysicalSizeX": 10.0, "PhysicalSizeY": 10.0},
    )  # fmt: skip
    given = ("--mpp", 0.5, "--device", "cpu", "--out", tmp_path / "n.csv")
    assert run("detect", tmp_path / "a.ome.tif", *given) == 2
    refusal = capsys.readouterr().err
    assert "At 10 microns per pixel nuclei cannot be seen; check the scale." in refusal
    assert "the given 0.5 was not used; to use it all the same, add --force-mpp." in refusal
    assert run("detect", tmp_path / "a.ome.tif", *given, "--force-mpp") == 0


def test_detect(
    cmu_slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: Case
) -> None:
    out = tmp_path / "n.csv"
    given = ("--mpp", 0.25, *case.force, *REGION, "--device", "cpu", "--json")
    assert run("detect", cmu_slide, "--out", out, *given) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out.splitlines()[-1])
    assert (result["mpp"], result["mpp_from"]) == (case.mpp, case.source)
    assert any(case.note in n for n in result["notes"])
    assert case.note in captured.err
    table = pd.read_csv(out)
    assert np.allclose(table["x_um"], table["x_px"] * case.mpp, atol=1e-3)


def test_features(
    cmu_slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: Case
) -> None:
    points, out = tmp_path / "p.csv", tmp_path / "f.zarr"
    points.write_text("x_px,y_px,class\n800,1300,a\n")
    given = ("--points", points, "--out", out, "--mpp", 0.25, *case.force, "--device", "cpu")
    assert run("features", cmu_slide, *given) == 0
    assert case.note in capsys.readouterr().err
    facts = read_features(out).attributes
    assert (facts["slide_mpp"], facts["slide_mpp_from"]) == (case.mpp, case.source)


def test_features_where_nuclei_cannot_be_seen(
    cmu_slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points, out = tmp_path / "p.csv", tmp_path / "f.zarr"
    points.write_text("x_px,y_px,class\n800,1300,a\n")
    given = ("--points", points, "--out", out, "--mpp", 50, "--force-mpp", "--device", "cpu")
    assert run("features", cmu_slide, *given) == 2
    assert "At 50 microns per pixel nuclei cannot be seen" in capsys.readouterr().err
    assert not out.exists()


def test_rois(
    cmu_slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: Case
) -> None:
    points = tmp_path / "p.csv"
    points.write_text("x_px,y_px,class\n800,1300,a\n")
    given = ("--points", points, "--mpp", 0.25, *case.force, "--roi-mpp", 0.1)
    assert run("rois", cmu_slide, "--out", tmp_path / "rois", *given) == 0
    assert case.note in capsys.readouterr().err
    # A slide coarser than requested keeps its own scale.
    assert {roi.mpp for roi in read_manifest(tmp_path / "rois").rois} == {case.mpp}


def test_a_scale_that_cannot_be_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "z.svs"
    said = "Aperio Image Library v1\n64x64|AppMag = 20|MPP = 0"
    pixels = np.zeros((64, 64, 3), np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", description=said, metadata=None)
    assert run("info", path) == 0
    assert "unknown (its metadata says 0 x 0 um, which cannot be); give --mpp" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "s.png"),
        ("detect", "s.png", "--out", "n.csv"),
        ("detect", "s.png", "s.png", "--out", "results"),
        ("detect", "list.csv", "--out", "results"),
        ("features", "s.png", "--points", "p.csv", "--out", "f.zarr"),
        ("rois", "s.png", "--out", "rois"),
        ("convert", "p.csv", "p.geojson"),
        ("finetune", "--annotations", "s.muse", "--out", "m.safetensors"),
        ("finetune", "--unlabeled", "s.png", "--out", "m.safetensors"),
    ],
)
def test_a_scale_is_forced_only_if_one_is_given(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_slide(tmp_path / "s.png", 64, 64)
    (tmp_path / "p.csv").write_text("x_px,y_px,class\n8,8,a\n")
    (tmp_path / "list.csv").write_text("slide,mpp\ns.png,\n")
    before = sorted(tmp_path.iterdir())
    assert run(*arguments, "--force-mpp") == 2
    assert "give it too, with --mpp" in error_line(capsys)
    assert sorted(tmp_path.iterdir()) == before


def test_a_list_gives_scales_to_force(tmp_path: Path) -> None:
    write_slide(tmp_path / "s.png", 64, 64)
    (tmp_path / "list.csv").write_text("slide,mpp\ns.png,0.5\n")
    asked = ("--model", write_model(tmp_path / "m.safetensors"), "--out", tmp_path / "results")
    assert run("detect", tmp_path / "list.csv", *asked, "--force-mpp") == 0
