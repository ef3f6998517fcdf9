from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from muse_core.data.datasets import Detail, convert_dataset
from muse_core.data.points_folder import read_points_folder
from muse_core.errors import UserError

from ...cli.running import run
from . import layouts


def test_a_split_becomes_a_points_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    seen: list[tuple[int, str]] = []
    facts = convert_dataset(
        "brcam2c",
        layouts.brcam2c(tmp_path / "in"),
        out,
        "train",
        on_progress=lambda *a: seen.append(a),
    )
    assert seen == [(1, layouts.BRCAM2C_NAME)]
    assert facts["nuclei"] == {"lymphocyte": 1, "stromal": 1, "tumor": 1}
    assert json.loads((out / "dataset.json").read_text()) == facts
    (image,) = read_points_folder(out, 0.5)
    np.testing.assert_allclose(image.xy, [[50.5, 5.5], [0.5, 39.5], [11.5, 10.5]])
    assert image.class_names == ("lymphocyte", "tumor", "stromal")


def test_another_resolution_moves_the_points_along(tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_dataset("ocelot", layouts.ocelot(tmp_path / "in"), out, "train", detail=Detail(mpp=0.4))
    first, second = read_points_folder(out, 0.4)
    assert first.image.shape == second.image.shape == (32, 32, 3)
    np.testing.assert_allclose(first.xy, [[1.75, 20.25], [5.25, 10.25]])
    assert len(second.xy) == 0


def test_a_failure_leaves_nothing_and_nothing_is_overwritten(tmp_path: Path) -> None:
    root = layouts.ocelot(tmp_path / "in")
    (root / "annotations" / "train" / "cell" / "002.csv").write_text("x")
    with pytest.raises(UserError, match="line 1"):
        convert_dataset("ocelot", root, tmp_path / "out", "train")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    with pytest.raises(UserError, match="in the way"):
        convert_dataset("ocelot", root, root, "val")
    with pytest.raises(UserError, match="no folder"):
        convert_dataset("ocelot", tmp_path / "none", tmp_path / "out", "val")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = layouts.pannuke(tmp_path / "in"), tmp_path / "out"
    assert run("dataset", "convert", "pannuke", root, "--split", "fold1", "--out", out) == 0
    said = capsys.readouterr().out
    assert said == f"2 images at 0.25 um/px in {out}: 1 epithelial, 1 neoplastic.\n"
    assert run("dataset", "convert", "pannuke", root, "--split", "train", "--out", out) == 2


def test_the_folder_may_hold_what_file_managers_leave(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".DS_Store").touch()
    convert_dataset("ocelot", layouts.ocelot(tmp_path / "in"), out, "train")
    assert sorted(p.name for p in out.iterdir()) == ["dataset.json", "images", "points"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("name", ["brcam2c", "ocelot", "puma", "consep", "pannuke"])
def test_litter_beside_the_images_changes_nothing(tmp_path: Path, name: str) -> None:
    source = getattr(layouts, name)(tmp_path / "in")
    split = {"pannuke": "fold1", "puma": "all"}.get(name, "train")
    before = convert_dataset(name, source, tmp_path / "before", split)
    for path in [p for p in source.rglob("*") if p.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"nothing of the kind")
        path.with_name("Thumbs.db").touch()
    assert convert_dataset(name, source, tmp_path / "after", split) == before


def test_of_two_conversions_into_one_folder_one_is_refused(tmp_path: Path) -> None:
    source, out = layouts.ocelot(tmp_path / "in"), tmp_path / "out"

    def second(*_: object) -> None:
        with pytest.raises(UserError, match="another program is writing it"):
            convert_dataset("ocelot", source, out, "val")

    facts = convert_dataset("ocelot", source, out, "train", on_progress=second)
    assert json.loads((out / "dataset.json").read_text()) == facts
    assert facts["split"] == "train"
