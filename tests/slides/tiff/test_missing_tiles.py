"""TIFF files of which some tiles were never written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from muse_core.errors import UserError
from muse_core.slides import open_slide

from ..slide_files import write_ome_tiff, write_pyramid_tiff


def _leave_out(path: Path, level: int, first: float, last: float = 1.0) -> None:
    """Leave out the tiles of a level from one part of it to another, in the order of the file."""
    with tifffile.TiffFile(path, mode="r+") as tif:
        page = tif.series[0].levels[level].keyframe
        for name in ("TileByteCounts", "TileOffsets"):
            values = list(page.tags[name].value)
            left_out = range(round(first * len(values)), round(last * len(values)))
            values = [0 if i in left_out else value for i, value in enumerate(values)]
            page.tags[name].overwrite(values)


@pytest.mark.parametrize("write", [write_pyramid_tiff, write_ome_tiff])
@pytest.mark.parametrize(
    ("level", "where"), [(0, "its finest level"), (1, "its level 1"), (2, "its level 2")]
)
def test_tiles_of_tissue_that_were_never_written_are_said(
    tmp_path: Path, halves: list[np.ndarray], write: object, level: int, where: str
) -> None:
    """As a converter leaves them that stopped while it wrote."""
    assert callable(write)
    path = write(tmp_path / "s.tif", halves)
    with open_slide(path) as slide:
        assert not slide.notes
    _leave_out(path, level, 0.0, 0.5)
    with open_slide(path) as slide:
        (note,) = slide.notes
    assert f"of {where} is missing, as after a copy or a program that broke off" in note


def test_a_few_tiles_among_many_are_found(tmp_path: Path) -> None:
    tissue = np.random.default_rng(0).integers(90, 160, (4096, 4096, 3), np.uint8)
    path = write_pyramid_tiff(tmp_path / "s.tif", [tissue, tissue[::4, ::4].copy()])
    _leave_out(path, 0, 0.5, 0.502)
    with open_slide(path) as slide:
        (note,) = slide.notes
    assert note.startswith("Less than 1% of its finest level is missing")


def test_glass_that_a_scanner_leaves_out_is_not_missed(
    tmp_path: Path, halves: list[np.ndarray]
) -> None:
    levels = [level.copy() for level in halves]
    for level in levels:
        level[len(level) // 2 :] = 244
    path = write_pyramid_tiff(tmp_path / "s.tif", levels)
    for number in (0, 1):
        _leave_out(path, number, 0.75)
    with open_slide(path) as slide:
        assert not slide.notes
        assert (slide.levels[0][-1].compute() == 255).all()


def test_what_a_single_level_does_not_store_is_said(
    tmp_path: Path, halves: list[np.ndarray]
) -> None:
    path = write_pyramid_tiff(tmp_path / "s.tif", halves[:1])
    _leave_out(path, 0, 0.75)
    with open_slide(path) as slide:
        (note,) = slide.notes
    assert note.startswith("About 27% of the image is not stored and is read as white, where no")


def test_one_strip_without_compression_that_was_never_written(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, np.full((64, 64, 3), 128, np.uint8), photometric="rgb")
    with tifffile.TiffFile(path, mode="r+") as tif:
        for name in ("StripByteCounts", "StripOffsets"):
            tif.pages[0].tags[name].overwrite(0)
    with pytest.raises(UserError, match=r"^s\.tif is incomplete: it has metadata but no pixels\.$"):
        open_slide(path)
