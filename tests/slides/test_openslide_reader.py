from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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


def test_bad_mrxs(tmp_path: Path) -> None:
    pytest.importorskip("openslide")
    path = tmp_path / "bad.mrxs"
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(1000))
    with pytest.raises(UserError, match=r"bad.mrxs"):
        open_slide(path)


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
