"""A synthetic MRXS: files count from its scanned area, like QuPath, in reading and writing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import tifffile
from PIL import Image
from scipy.spatial import cKDTree

from muse_core.nuclei import read_csv, read_nuclei
from muse_core.slides import open_slide

from ..slides.slide_files import write_mrxs
from .running import run

pytest.importorskip("openslide")
AT = (2560, 7680)


@pytest.fixture(scope="module")
def tissue(cmu_slide: Path) -> npt.NDArray[np.uint8]:
    """The scanned area of the slide."""
    return np.ascontiguousarray(tifffile.imread(cmu_slide)[900:1924, 600:1624])


@pytest.fixture(scope="module")
def mrxs(tmp_path_factory: pytest.TempPathFactory, tissue: npt.NDArray[np.uint8]) -> Path:
    halves = [
        np.asarray(Image.fromarray(tissue).resize((1024 // k, 1024 // k), Image.Resampling.BOX))
        for k in (1, 2)
    ]
    folder = tmp_path_factory.mktemp("mrxs")
    return write_mrxs(folder / "case.mrxs", halves, (10, 30), 0.499)


@pytest.fixture(scope="module")
def detected(mrxs: Path) -> Path:
    """All nuclei of the slide as GeoJSON."""
    out = mrxs.with_name("found.geojson")
    assert run("detect", mrxs, "--out", out, "--device", "cpu") == 0
    return out


def test_what_is_scanned(mrxs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_slide(mrxs) as slide:
        assert (slide.width, slide.height) == (10240, 15360)
        assert (slide.scanned.x, slide.scanned.y) == AT
        assert (slide.scanned.w, slide.scanned.h) == (1024, 1024)
    assert run("info", mrxs, "--json") == 0
    assert json.loads(capsys.readouterr().out)["scanned_px"] == [*AT, 1024, 1024]
    assert run("info", mrxs) == 0
    assert "1024 x 1024 px from x 2560, y 7680" in capsys.readouterr().out


def test_what_is_detected_counts_from_the_scanned_area(
    detected: Path, tissue: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    data = json.loads(detected.read_text())
    assert data["muse"]["origin_px"] == list(AT)
    xy = np.array([f["geometry"]["coordinates"] for f in data["features"]])
    assert len(xy) > 500
    assert xy.min() >= 0
    assert xy.max() <= 1024
    # The same tissue as a separate image, whose tiles and tissue have other borders.
    Image.fromarray(tissue).save(tmp_path / "tissue.png")
    alone = tmp_path / "alone.csv"
    given = ("--mpp", 0.499, "--device", "cpu")
    assert run("detect", tmp_path / "tissue.png", "--out", alone, *given) == 0
    distance, _ = cKDTree(read_csv(alone)[["x", "y"]]).query(xy)
    assert np.median(distance) < 0.5
    assert (distance < 2).mean() > 0.9


def test_convert_keeps_the_origin(detected: Path, tmp_path: Path) -> None:
    csv, back = tmp_path / "n.csv", tmp_path / "n.geojson"
    assert run("convert", detected, csv) == 0
    table = pd.read_csv(csv)
    assert set(table["origin_x_px"]) == {AT[0]}
    assert set(table["origin_y_px"]) == {AT[1]}
    assert run("convert", csv, back) == 0
    ours, theirs = read_nuclei(back), read_nuclei(detected)
    assert ours.origin_px == theirs.origin_px == AT
    assert np.allclose(ours.table[["x", "y"]], theirs.table[["x", "y"]], atol=1e-3)


def test_a_file_of_a_program_that_counts_from_the_slide(
    mrxs: Path, detected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "theirs.csv", tmp_path / "out.geojson"
    xy = read_nuclei(detected).table[["x", "y"]] + np.array(AT)
    pd.DataFrame({"x_px": xy["x"], "y_px": xy["y"], "class": "a"}).to_csv(source, index=False)
    assert run("convert", source, out, "--slide", mrxs) == 0
    assert "counted from the corner of the slide" in capsys.readouterr().err
    found = read_nuclei(out)
    assert found.origin_px == AT
    assert np.allclose(found.table[["x", "y"]], xy - np.array(AT), atol=1e-3)


def test_features_are_of_the_nuclei_wherever_a_file_counts_from(
    mrxs: Path, detected: Path, tmp_path: Path
) -> None:
    from muse_core.classify.feature_file import read_features

    some = read_nuclei(detected).table.head(5)
    frame = pd.DataFrame({"x_px": some["x"], "y_px": some["y"], "class": some["class_name"]})
    alone, whole = tmp_path / "alone.csv", tmp_path / "whole.csv"
    frame.to_csv(alone, index=False)
    frame.assign(x_px=frame["x_px"] + AT[0], y_px=frame["y_px"] + AT[1]).to_csv(whole, index=False)
    rows = []
    for points in (alone, whole):
        out = tmp_path / f"{points.stem}.zarr"
        assert run("features", mrxs, "--points", points, "--out", out, "--device", "cpu") == 0
        rows.append(read_features(out).features)
    assert np.isfinite(rows[0]).all()
    assert np.array_equal(rows[0], rows[1])


@pytest.mark.parametrize("name", ["n.txt", "n.geojsn", "n.xlsx"])
def test_an_ending_that_is_no_format_is_refused_before_the_work(
    mrxs: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("detect", mrxs, "--out", tmp_path / name) == 2
    assert "the name must end in one of .csv" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
