"""OME-Zarr of which chunks are missing, lost or never written."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from muse_core.errors import UserError
from muse_core.slides import open_slide

from ..slide_files import write_ome_zarr


def _lose_lower_half(level: Path, version: str) -> None:
    """As a copy that broke off: rows of chunks 2 and beyond, of 100 px each."""
    rows = level / "c" / "0" if version == "0.5" else level
    for entry in rows.iterdir():
        row = entry.name.split(".")[1] if version == "0.4" and "." in entry.name[1:] else entry.name
        if row.isdigit() and int(row) >= 2:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_what_a_copy_has_lost_is_said(
    tmp_path: Path, halves: list[np.ndarray], version: str
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, version)
    with open_slide(path) as slide:
        assert not slide.notes
    _lose_lower_half(path / "0", version)
    with open_slide(path) as slide:
        (note,) = slide.notes
    assert "of its finest level is missing, " in note


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_what_an_archive_lacks_is_said(
    tmp_path: Path, halves: list[np.ndarray], version: str
) -> None:
    folder = write_ome_zarr(tmp_path / "s.zarr", halves, version)
    whole = shutil.make_archive(str(tmp_path / "whole.zarr"), "zip", folder)
    with open_slide(whole) as slide:
        assert not slide.notes
    _lose_lower_half(folder / "0", version)
    with open_slide(shutil.make_archive(str(tmp_path / "cut.zarr"), "zip", folder)) as slide:
        (note,) = slide.notes
    assert "of its finest level is missing, " in note


@pytest.mark.parametrize(("fill", "shown"), [(0, "black"), (255, "white"), (128, "one colour")])
@pytest.mark.parametrize("zipped", [False, True])
def test_what_a_single_level_lacks_is_said(
    tmp_path: Path, halves: list[np.ndarray], zipped: bool, fill: int, shown: str
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves[:1], "0.4")
    facts = json.loads((path / "0" / ".zarray").read_text())
    (path / "0" / ".zarray").write_text(json.dumps({**facts, "fill_value": fill}))
    with open_slide(path) as slide:
        assert not slide.notes
    _lose_lower_half(path / "0", "0.4")
    share = 1 - 200 / halves[0].shape[0]
    source = shutil.make_archive(str(tmp_path / "s.zarr"), "zip", path) if zipped else path
    with open_slide(source) as slide:
        (note,) = slide.notes
    said = re.fullmatch(r"About (\d+)% of the image is not stored and is read as (.*?), .*", note)
    assert said is not None
    assert abs(int(said[1]) / 100 - share) < 0.1
    assert said[2] == shown


def test_without_a_fill_value_what_is_missing_is_black(
    tmp_path: Path, halves: list[np.ndarray]
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, "0.4")
    facts = json.loads((path / "0" / ".zarray").read_text())
    (path / "0" / ".zarray").write_text(json.dumps({**facts, "fill_value": None}))
    _lose_lower_half(path / "0", "0.4")
    with open_slide(path) as slide:
        assert len(slide.notes) == 1


@pytest.mark.parametrize("level", [1, 2])
def test_coarser_levels_are_looked_at_too(
    tmp_path: Path, halves: list[np.ndarray], level: int
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, "0.5")
    shutil.rmtree(path / str(level) / "c" / "0" / "0")
    with open_slide(path) as slide:
        (note,) = slide.notes
    assert f"of its level {level} is missing" in note


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_level_without_any_pixels_is_refused(
    tmp_path: Path, halves: list[np.ndarray], level: int
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, "0.5")
    shutil.rmtree(path / str(level) / "c")
    with pytest.raises(UserError, match=rf"^s\.zarr is incomplete: its level {level} has no pix"):
        open_slide(path)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("level", [1, 2])
def test_a_level_that_is_missing_altogether_is_named(
    tmp_path: Path, halves: list[np.ndarray], version: str, level: int
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, version)
    shutil.rmtree(path / str(level))
    with pytest.raises(UserError, match=rf"^s\.zarr is incomplete: its level {level} is missing"):
        open_slide(path)


@pytest.mark.parametrize("fill", [0, 255])
def test_chunks_that_were_left_out_as_empty_are_not_lost(
    tmp_path: Path, halves: list[np.ndarray], fill: int
) -> None:
    levels = [level.copy() for level in halves]
    for level in levels:
        level[len(level) // 2 :] = fill
    path = write_ome_zarr(tmp_path / "s.zarr", levels, "0.5")
    for number, level in enumerate(levels):
        array = zarr.create_array(
            path / str(number),
            shape=(3, *level.shape[:2]),
            chunks=(3, 100, 100),
            dtype=np.uint8,
            fill_value=fill,
            overwrite=True,
            config={"write_empty_chunks": False},
        )
        array[...] = level.transpose(2, 0, 1)
    assert not (path / "0" / "c" / "0" / str(len(levels[0]) // 100)).exists()
    with open_slide(path) as slide:
        assert not slide.notes
        assert (slide.levels[0][-1].compute() == fill).all()
