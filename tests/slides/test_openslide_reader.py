from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from muse_core.errors import UserError
from muse_core.slides import Region, Slide, open_slide
from muse_core.slides.openslide_reader import _scale, open_openslide


def test_agrees_with_the_tiff_reader_on_a_real_slide(cmu_slide: Path) -> None:
    pytest.importorskip("openslide")
    with Slide(open_openslide(cmu_slide)) as other, open_slide(cmu_slide) as slide:
        assert other.format == "OpenSlide (aperio)"
        assert other.mpp == slide.mpp
        assert other.levels[0].shape == slide.levels[0].shape
        assert set(other.associated) == set(slide.associated)
        region = Region(700.5, 1200.25, 600, 500)
        difference = np.abs(other.read(region, 0.5).astype(int) - slide.read(region, 0.5))
        # Two JPEG decoders may round differently, nothing more.
        assert difference.max() <= 4
        assert difference.mean() < 0.2


def test_a_damaged_place_costs_no_other(tmp_path: Path) -> None:
    """After its first error an object of OpenSlide gives nothing any more."""
    pytest.importorskip("openslide")
    path = tmp_path / "s.tif"
    pixels = np.random.default_rng(5).integers(0, 255, (1536, 1536, 3), dtype=np.uint8)
    text = "Background Color=E6E6E6;OverlapsXY= 1 1"
    options: Any = {"photometric": "rgb", "compression": "deflate", "metadata": None}
    tifffile.imwrite(path, pixels, tile=(512, 512), software="MedScan", description=text, **options)
    with tifffile.TiffFile(path) as tif:
        page: Any = tif.pages.first
        start, count = page.dataoffsets[4], page.databytecounts[4]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * count)
    # Of pieces of 512 px the first two along each axis hold parts of the broken tile.
    broken, whole = Region(600, 600, 50, 50), [Region(1100, 0, 50, 50), Region(0, 1100, 50, 50)]
    with open_slide(path, 0.5) as slide:

        def attempt(region: Region) -> np.ndarray | None:
            try:
                return slide.read(region)
            except UserError:
                return None

        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(attempt, [broken, *whole, broken, *whole] * 5))
        assert [f is None for f in found] == [True, False, False] * 10
        # Two seams to the left of it are there once.
        np.testing.assert_array_equal(found[1], pixels[:50, 1102:1152])
    with pytest.raises(UserError):
        slide.read(Region(1100, 1100, 50, 50))


def test_bad_mrxs(tmp_path: Path) -> None:
    pytest.importorskip("openslide")
    path = tmp_path / "bad.mrxs"
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(1000))
    with pytest.raises(UserError, match=r"bad.mrxs"):
        open_slide(path)


def test_an_mrxs_without_its_folder_says_so(tmp_path: Path) -> None:
    pytest.importorskip("openslide")
    path, folder = tmp_path / "case.mrxs", tmp_path / "case"
    path.write_bytes(b"\xff\xd8\xff\xd9")
    with pytest.raises(UserError, match=r"^case\.mrxs .* the folder case, .* is not beside it\.$"):
        open_slide(path)
    folder.mkdir()
    with pytest.raises(UserError, match=r"^case\.mrxs .* case/Slidedat\.ini is missing"):
        open_slide(path)
    (folder / "Slidedat.ini").touch()
    with pytest.raises(UserError, match=r"^case is the folder of a slide; open case\.mrxs"):
        open_slide(folder)


def test_without_openslide_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openslide", None)
    path = tmp_path / "slide.mrxs"
    path.write_bytes(b"x")
    with pytest.raises(UserError, match=r"slide.mrxs needs OpenSlide; .*napari-muse\[openslide\]"):
        open_slide(path)


@pytest.mark.parametrize(
    ("properties", "mpp"),
    [
        ({"openslide.mpp-x": "0.5", "openslide.mpp-y": "0.5", "aperio.MPP": "9"}, 0.5),
        ({"ventana.ScanRes": "0.2325"}, 0.2325),
        ({"ventana.ScanRes": "0,2325"}, 0.2325),
        ({"aperio.MPP": "0,499"}, 0.499),
        ({"openslide.mpp-x": "0", "openslide.mpp-y": "0", "ventana.ScanRes": "0.25"}, 0.25),
        ({"openslide.mpp-x": "0.5"}, None),
        ({"aperio.MPP": "0.5 0.5"}, None),
        ({}, None),
    ],
)
def test_the_scale_among_the_properties(properties: Any, mpp: float | None) -> None:
    assert _scale(properties)[0] == mpp
