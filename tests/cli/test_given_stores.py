"""Annotation stores given to commands in the place of files of nuclei."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from muse_core.classify.feature_file import read_features
from muse_core.nuclei import ClassScheme, NamedRegion, nucleus_table, read_nuclei
from muse_core.nuclei.store import AnnotationStore, identify_slide
from muse_core.pretrain.roi_manifest import read_manifest

from ..job_inputs import write_model
from .running import run

SQUARE = ((10.0, 10.0), (90.0, 10.0), (90.0, 90.0))


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """A slide of 0.5 um/px."""
    pixels = np.random.default_rng(0).integers(100, 200, (160, 200, 3), np.uint8)
    per_cm = (20_000, 20_000)
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, pixels, resolution=per_cm, resolutionunit="CENTIMETER")
    return path


@pytest.fixture
def store(slide: Path) -> Path:
    """Its annotations: three nuclei, of which one is deleted, and a reviewed region."""
    path = slide.with_name("s.muse")
    classes = ClassScheme.from_names(["a", "b"])
    with AnnotationStore.create(path, identify_slide(slide), classes) as store:
        store.insert(nucleus_table([20.0, 30, 150], [20.0, 40, 60], ["a", "b", "b"]))
        store.add_region(SQUARE, True, "field")
        store.delete(store.nuclei()["id"].to_numpy()[:1])
    return path


def test_convert(store: Path, slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = store.with_name("n.geojson")
    assert run("convert", store, out) == 0
    found = read_nuclei(out)
    assert found.table["status"].tolist() == ["deleted", "predicted", "predicted"]
    assert found.table["x"].tolist() == [20, 30, 150]
    assert found.regions == (NamedRegion(SQUARE, "field", True),)
    assert found.slide == identify_slide(slide).recorded
    assert found.mpp is None
    csv = store.with_name("n.csv")
    assert run("convert", store, csv, "--without-deleted") == 2
    assert "microns per pixel" in capsys.readouterr().err
    assert run("convert", store, csv, "--without-deleted", "--slide", slide) == 0
    assert read_nuclei(csv).mpp == 0.5
    assert len(read_nuclei(csv).table) == 2


def test_features_and_rois(store: Path, slide: Path) -> None:
    model = write_model(store.with_name("m.safetensors"))
    features = ("--points", store, "--out", store.with_name("f.zarr"), "--model", model)
    assert run("features", slide, *features) == 0
    assert read_features(store.with_name("f.zarr")).xy[:, 0].tolist() == [20, 30, 150]
    rois = ("--points", store, "--out", store.with_name("rois"), "--roi-mpp", 0.5)
    assert run("rois", slide, *rois) == 0
    assert sum(roi.n_nuclei for roi in read_manifest(store.with_name("rois")).rois) == 2


def test_what_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.muse").write_text("no store")
    for source in ("s.muse", "none.muse"):
        assert run("convert", tmp_path / source, tmp_path / "n.geojson") == 2
        assert source in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["s.muse"]
