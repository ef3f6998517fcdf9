"""Pictures that are marked to be shown turned: positions count from the first stored pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from muse_core.slides import open_slide


def _tiff(path: Path, picture: np.ndarray, orientation: int) -> None:
    tag: Any = (274, "H", 1, orientation, True)
    tifffile.imwrite(path, picture, photometric="rgb", extratags=[tag])


def _flat(path: Path, picture: np.ndarray, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(picture).save(path, exif=exif, quality=100, subsampling=0)


@pytest.mark.parametrize(("name", "write"), [("a.tif", _tiff), ("a.jpg", _flat), ("a.png", _flat)])
@pytest.mark.parametrize("orientation", [1, 2, 6, 8, 9])
def test_pixels_are_as_stored_and_a_note_says_so(
    tmp_path: Path, picture: np.ndarray, name: str, write: Any, orientation: int
) -> None:
    write(tmp_path / name, picture, orientation)
    with open_slide(tmp_path / name) as slide:
        read = slide.read(slide.bounds).astype(int)
        said = [note for note in slide.notes if f"(orientation {orientation})" in note]
    assert np.abs(read - picture).mean() < 2
    assert len(said) == (orientation in (2, 6, 8))


def test_damaged_exif_costs_no_picture(tmp_path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\1")
    with open_slide(tmp_path / "a.jpg") as slide:
        assert slide.width == picture.shape[1]
        assert not slide.notes
