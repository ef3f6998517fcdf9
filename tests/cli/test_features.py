from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr

from muse_core.classify.feature_file import read_features
from muse_core.cli.features import _compute, _Plan
from muse_core.errors import UserError
from muse_core.nuclei import nucleus_table, write_csv
from muse_core.slides import ImageChoice

from ..damaged_slide import write_damaged
from ..job_inputs import write_model, write_slide
from .running import run


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path, Path]:
    points = tmp_path / "n.csv"
    write_csv(nucleus_table([10, 200, 690], [10, 300, 490], "tumor", ids=[5, 3, 9]), points, 0.5)
    return write_slide(tmp_path / "s.png"), points, write_model(tmp_path / "m.safetensors")


def test_features_of_a_slide(
    inputs: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide, points, model = inputs
    out = tmp_path / "f.zarr"
    options = ("--points", points, "--model", model, "--mpp", 0.5, "--out", out, "--json")
    assert run("features", slide, *options) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["nuclei"], facts["done"], facts["channels"]) == (3, 3, 32)
    found = read_features(out)
    assert found.features.shape == (3, 32)
    assert np.isfinite(found.features).all()
    assert found.ids.tolist() == [5, 3, 9]
    assert [found.attributes[k] for k in ("model", "mpp", "fov_px")] == ["tiny", 0.5, 256]


def test_nuclei_that_cannot_be_read_have_none_and_are_counted(
    inputs: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, points, model = inputs
    write_damaged(tmp_path / "d.tif", whole, 200, 300, 0.5)
    out = tmp_path / "f.zarr"
    options = ("--points", points, "--model", model, "--out", out, "--json")
    assert run("features", tmp_path / "d.tif", *options) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert (facts["done"], facts["unread"], facts["cancelled"]) == (2, 1, False)
    assert said.err.startswith("note: 1 nucleus lies where the slide cannot be read: d.tif is dam")
    assert np.isfinite(read_features(out).features).all(axis=1).tolist() == [True, False, True]


def test_bad_input_ends_in_a_sentence(
    inputs: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide, points, model = inputs
    common = ("--model", model, "--out", tmp_path / "f.zarr")
    assert run("features", slide, "--points", points, *common) == 2
    assert "scale" in capsys.readouterr().err
    assert run("features", slide, "--points", tmp_path / "no.csv", "--mpp", 0.5, *common) == 2
    assert "no file" in capsys.readouterr().err
    file = tmp_path / "f.h5ad"
    assert run("features", slide, "--points", points, "--model", model, "--out", file) == 2
    assert "features are a folder, and this names a file" in capsys.readouterr().err
    assert not file.exists()
    (tmp_path / "f.zarr").mkdir()
    (tmp_path / "f.zarr" / "precious.txt").write_text("")
    assert run("features", slide, "--points", points, "--mpp", 0.5, *common) == 2
    assert "something else" in capsys.readouterr().err
    assert (tmp_path / "f.zarr" / "precious.txt").exists()


def test_older_features_are_replaced_but_no_other_zarr_folder(
    inputs: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide, points, model = inputs
    out = tmp_path / "f.zarr"
    options = ("--points", points, "--model", model, "--mpp", 0.5, "--out")
    for _ in range(2):
        assert run("features", slide, *options, out) == 0
    other = zarr.open_group(tmp_path / "other.zarr", mode="w", zarr_format=2)
    other.create_array("0", data=np.ones((3, 8, 8), np.uint8))
    assert run("features", slide, *options, tmp_path / "other.zarr") == 2
    assert "something else" in capsys.readouterr().err
    assert run("features", tmp_path / "other.zarr", *options, tmp_path / "other.zarr") == 2
    assert "it is the input itself" in capsys.readouterr().err
    assert (tmp_path / "other.zarr" / "0" / ".zarray").exists()


def test_no_features_of_two_slides_lie_in_one_folder(
    inputs: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    slide, points, model = inputs
    other, out = write_slide(tmp_path / "other.png", seed=1), tmp_path / "f.zarr"

    class Replacing(threading.Event):
        def is_set(self) -> bool:
            if other.exists():
                other.replace(slide)
            return False

    plan = _Plan(slide, ImageChoice(), points, out, 0.5, False, None, "cpu", False)
    with pytest.raises(UserError, match=r"^s.png was changed or replaced while it was read"):
        _compute(plan, str(model), Replacing())
    assert not list(tmp_path.glob("*f.zarr*"))


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is one of Linux")
def test_a_folder_that_takes_nothing_is_refused_before_the_work(
    inputs: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    slide, points, _ = inputs
    asked = ("--points", points, "--mpp", 0.5, "--model", "none", "--out", "/proc/f.zarr")
    assert run("features", slide, *asked) == 2
    assert "error: Cannot write /proc/f.zarr" in capsys.readouterr().err
