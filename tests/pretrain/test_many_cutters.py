"""Several programs that cut ROIs into one folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from muse_core.nuclei import nucleus_table, write_csv
from muse_core.pretrain.roi_manifest import (
    Roi,
    RoiSettings,
    RoiSource,
    add_source,
    open_roi_folder,
    read_manifest,
)

from ..job_inputs import write_slide

ADD = """
import sys
from pathlib import Path
from muse_core.pretrain.roi_manifest import *
folder = Path(sys.argv[1])
open_roi_folder(folder, RoiSettings())
for i in range(20):
    key = f"{sys.argv[2]}{i}"
    add_source(folder, RoiSource(key, key, 0.5, (Roi(f"{key}/a.tif", 9, 9, 0.5, 0, 0, 1, 0),)))
"""


def test_two_commands_at_once_keep_the_slides_of_both(tmp_path: Path) -> None:
    slides = [
        write_slide(tmp_path / f"{name}.png", 200, 160, seed=i) for i, name in enumerate("abcd")
    ]
    write_csv(nucleus_table([10.0], [20.0], "a"), tmp_path / "a.csv", 0.5)
    for name in "bcd":
        (tmp_path / f"{name}.csv").write_bytes((tmp_path / "a.csv").read_bytes())
    out = tmp_path / "rois"
    options = ["--points", str(tmp_path), "--mpp", "0.5", "--roi-mpp", "0.5", "--roi-px", "64"]
    # Both get one slide in common.
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "muse_core.cli", "rois", *given, "--out", out, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for given in (slides[:2], slides[1:])
    ]
    ends = [p.communicate() for p in running]
    assert [p.returncode for p in running] == [0, 0], ends
    manifest = read_manifest(out)
    assert sorted(source.name for source in manifest.sources) == [
        "a.png",
        "b.png",
        "c.png",
        "d.png",
    ]
    for roi in manifest.rois:
        assert len(np.load((out / roi.file).with_suffix(".npy"))) == roi.n_nuclei
    assert len(list(out.rglob("*.tif"))) == len(manifest.rois)
    assert not list(out.rglob("*.partial"))


def test_no_addition_is_lost_however_they_fall_together(tmp_path: Path) -> None:
    folder = tmp_path / "rois"
    running = [subprocess.Popen([sys.executable, "-c", ADD, folder, name]) for name in ("a", "b")]
    assert [p.wait() for p in running] == [0, 0]
    assert {s.key for s in read_manifest(folder).sources} == {
        f"{name}{i}" for name in "ab" for i in range(20)
    }


def test_a_slide_is_added_once(tmp_path: Path) -> None:
    source = RoiSource("s", "s-1", 0.5, (Roi("s-1/a.tif", 9, 9, 0.5, 0, 0, 1, 0),))
    open_roi_folder(tmp_path, RoiSettings())
    assert add_source(tmp_path, source) == add_source(tmp_path, source)
    assert read_manifest(tmp_path).sources == (source,)


@pytest.mark.parametrize("name", [".DS_Store", "._manifest.json", "Thumbs.db"])
def test_litter_in_the_folder_is_no_hindrance(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert open_roi_folder(tmp_path, RoiSettings()).sources == ()
