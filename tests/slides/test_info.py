from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from muse_core.slides import open_slide, slide_info


def test_real_slide(cmu_slide: Path) -> None:
    with open_slide(cmu_slide) as slide:
        info = json.loads(json.dumps(slide_info(slide), allow_nan=False))
    assert 0.6 < info.pop("tissue_mm2") < 0.85
    assert info == {
        "path": str(cmu_slide),
        "name": "CMU-1-Small-Region.svs",
        "format": "Aperio SVS",
        "width_px": 2220,
        "height_px": 2967,
        "mpp_um": 0.499,
        "mpp_from": "file",
        "mpp_stated_um": 0.499,
        "mpp_note": "",
        "size_mm": [1.1078, 1.4805],
        "levels": [{"width": 2220, "height": 2967, "downsample": 1.0}],
        "associated": ["thumbnail", "label", "macro"],
        "scanned_px": [0.0, 0.0, 2220.0, 2967.0],
        "image": 1,
        "plane": 1,
        "planes": 1,
        "images": [
            described(1, "Baseline", "tissue", 2220, 2967, 0.499),
            described(None, "Thumbnail", "thumbnail", 574, 768),
            described(None, "Label", "label", 387, 463),
            described(None, "Macro", "macro", 1280, 431),
        ],
        "notes": [],
    }


def described(
    number: int | None, name: str, role: str, width: int, height: int, mpp: float | None = None
) -> Any:
    return {
        "number": number,
        "name": name,
        "role": role,
        "width_px": width,
        "height_px": height,
        "mpp_um": mpp,
        "planes": 1,
    }


def test_without_scale(muse_data: Path) -> None:
    with open_slide(muse_data / "slides" / "pyramid-no-mpp.tiff") as slide:
        info = slide_info(slide)
        assert (info["mpp_um"], info["size_mm"], info["tissue_mm2"]) == (None, None, None)
        assert info["levels"][5] == {"width": 78, "height": 78, "downsample": 32.0}
        given = slide_info(slide.with_mpp(0.5))
    assert given["size_mm"] == [1.25, 1.25]
    assert given["tissue_mm2"] == pytest.approx(1.5, abs=0.2)
