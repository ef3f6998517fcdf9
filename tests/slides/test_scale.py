"""One rule: the file's scale is used unless the user insists, and a message says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from muse_core.errors import UserError
from muse_core.slides import open_slide
from muse_core.slides.scale import ScaleSource, settle_scale

MPPS = st.floats(0.01, 100)


@given(st.none() | MPPS, st.none() | MPPS, st.booleans())
def test_the_rule(stated: float | None, mpp: float | None, force: bool) -> None:
    scale = settle_scale(stated, mpp, force)
    assert scale.stated_mpp == stated
    differ = stated is not None and mpp is not None and abs(stated - mpp) > 1e-3 * min(stated, mpp)
    if mpp is not None and (stated is None or (force and differ)):
        assert scale.mpp == mpp
    else:
        assert scale.mpp == stated
    assert bool(scale.notes) == differ
    assert (scale.source is ScaleSource.FORCED) == (differ and force)


def test_rounding_is_no_difference() -> None:
    scale = settle_scale(0.49900012, 0.499, force=True)
    assert (scale.mpp, scale.source, scale.notes) == (0.49900012, ScaleSource.FILE, ())


@pytest.mark.parametrize("impossible", [0, -1, float("nan"), float("inf"), 1e6])
def test_an_impossible_scale_is_refused_though_it_would_not_be_used(impossible: Any) -> None:
    with pytest.raises(UserError, match="between"):
        settle_scale(0.5, impossible)


@pytest.mark.parametrize("other", [True, np.True_, "0.5", (0.5, 0.5), np.array([0.5, 0.5])])
def test_a_scale_that_is_no_number_is_refused(other: Any) -> None:
    with pytest.raises(UserError, match="are one number, not"):
        settle_scale(None, other)


@pytest.mark.parametrize("number", [1, np.float32(0.5), np.array(0.5), np.int64(1)])
def test_numbers_of_numpy_are_scales(number: Any) -> None:
    scale = settle_scale(None, number)
    assert (scale.mpp, type(scale.mpp)) == (float(number), float)


def test_on_slides(tmp_path: Path) -> None:
    pixels = np.full((70, 70, 3), 200, np.uint8)
    saying, silent = tmp_path / "a.tif", tmp_path / "b.png"
    tifffile.imwrite(
        saying, pixels, photometric="rgb", resolution=(20000, 20000), resolutionunit="CENTIMETER"
    )
    Image.fromarray(pixels).save(silent)
    with open_slide(saying, mpp=0.25) as slide:
        assert slide.mpp == 0.5
        (note,) = slide.notes
        assert note.startswith("The file states 0.5 um/px, so the given 0.25 was not used")
    with open_slide(saying, mpp=0.25, force_mpp=True) as slide:
        assert slide.mpp == 0.25
        assert slide.notes == (
            "The given 0.25 um/px is used in place of the 0.5 that the file states.",
        )
        assert slide.with_mpp(0.5).mpp == 0.5
    with open_slide(silent, mpp=0.25) as slide:
        assert (slide.mpp, slide.scale.source, slide.notes) == (0.25, "given", ())
