"""OME-Zarr in a folder that goes away while it is open, as with its drive or share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from muse_core.errors import UserError
from muse_core.slides import Region, open_slide

from ..slide_files import write_ome_zarr


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("mount_stays", [False, True])
def test_pixels_of_a_folder_that_has_gone_are_not_black(
    tmp_path: Path, halves: list[np.ndarray], version: str, mount_stays: bool
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, version)
    region = Region(0, 0, 50, 50)
    with open_slide(path) as slide:
        away = path.rename(tmp_path / "away")
        if mount_stays:
            path.mkdir()
        with pytest.raises(UserError, match=r"^s\.zarr cannot be read any more .*still connected"):
            slide.read(region)
        if mount_stays:
            path.rmdir()
        away.rename(path)
        assert np.array_equal(slide.read(region), halves[0][:50, :50])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_chunk_that_was_never_written_has_the_value_for_that(
    tmp_path: Path, halves: list[np.ndarray], version: str
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, version)
    (path / ("0/0.0.0" if version == "0.4" else "0/c/0/0/0")).unlink()
    with open_slide(path) as slide:
        pixels = slide.levels[0].compute()
    assert not pixels[:100, :100].any()
    assert np.array_equal(pixels[100:], halves[0][100:])
