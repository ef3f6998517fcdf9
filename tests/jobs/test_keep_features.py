from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from muse_core.classify.feature_folder import LOGITS, FeatureFolder, find_features
from muse_core.classify.places import rows_at
from muse_core.jobs import Cancelled, DetectJob, Done, run_job
from muse_core.nuclei import read_csv
from muse_core.nuclei.store import identify_slide

from ..job_inputs import CLASSES, write_model, write_slide


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> DetectJob:
    """Several tiles, so that there are seams."""
    folder = tmp_path_factory.mktemp("features")
    slide = write_slide(folder / "slide.png", 2700, 300)
    return DetectJob(str(slide), str(write_model(folder / "tiny.safetensors")), mpp=0.5)


def _detect(job: DetectJob, out: Path, **changed: object) -> FeatureFolder:
    given = {"out_csv": str(out), "features_in": f"{out}.features", "device": "cpu", **changed}
    last = run_job(dataclasses.replace(job, **given), lambda event: None)  # type: ignore[arg-type]
    assert isinstance(last, Done), last
    return find_features(Path(f"{out}.features"), identify_slide(job.slide))


def test_each_nucleus_of_the_file_has_the_features_its_class_came_from(
    job: DetectJob, tmp_path: Path
) -> None:
    out = tmp_path / "nuclei.csv"
    kept = _detect(job, out)
    table = read_csv(out)
    assert len(kept) == len(table) > 50
    rows = rows_at(kept.places, table[["x", "y"]].to_numpy())
    assert sorted(rows.tolist()) == list(range(len(table)))
    given = [CLASSES[i] for i in kept.classes[rows]]
    assert given == table["class_name"].tolist()
    said = np.fromfile(kept.path / LOGITS, np.float32).reshape(len(kept), -1).argmax(axis=1)
    # Except for ties broken by rounding to float16, or bfloat16 if the CPU supports it.
    assert (said == kept.classes).mean() > 0.9


def test_a_whole_slide_again_takes_the_place_of_the_first(job: DetectJob, tmp_path: Path) -> None:
    out = tmp_path / "nuclei.csv"
    first = len(_detect(job, out))
    assert len(_detect(job, out)) == first
    part = len(_detect(job, out, region=[0.0, 0.0, 500.0, 300.0])) - first
    assert 0 < part < first


def test_what_was_found_until_a_cancel_has_its_features(job: DetectJob, tmp_path: Path) -> None:
    out = tmp_path / "nuclei.csv"
    asked = iter([False, True])
    whole = dataclasses.replace(job, out_csv=str(out), features_in=f"{out}.features", device="cpu")
    last = run_job(whole, lambda event: None, lambda: next(asked, True))
    assert isinstance(last, Cancelled)
    kept = find_features(Path(f"{out}.features"), identify_slide(job.slide))
    xy = read_csv(out)[["x", "y"]].to_numpy()
    assert (rows_at(kept.places, xy) >= 0).all()
    assert len(kept) == len(xy)


def test_unasked_there_are_none(job: DetectJob, tmp_path: Path) -> None:
    out = tmp_path / "nuclei.csv"
    last = run_job(dataclasses.replace(job, out_csv=str(out), device="cpu"), lambda event: None)
    assert isinstance(last, Done)
    assert [p.name for p in tmp_path.iterdir()] == ["nuclei.csv"]
    assert np.array_equal(read_csv(out)["id"], np.arange(last.result["nuclei"]))
