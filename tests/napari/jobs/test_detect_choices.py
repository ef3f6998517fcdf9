"""Messages about a slide's scale before a detection; no window is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from muse_core.slides import open_slide
from napari_muse.jobs.detect_choices import scale_hint, scale_question


def test_a_slide_without_a_scale_gets_a_hint_and_one_with_it_none(tmp_path: Path) -> None:
    path = tmp_path / "plain.png"
    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(path)
    with open_slide(path) as slide:
        assert "does not say how large a pixel is" in scale_hint(slide)
        assert scale_hint(slide.with_mpp(0.5)) == ""
    assert scale_hint(None) == ""


def test_a_scale_that_is_stated_is_asked_about_with_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "stated.tif"
    pixels = np.full((64, 64, 3), 200, np.uint8)
    tifffile.imwrite(
        path, pixels, photometric="rgb", resolution=(2e4, 2e4), resolutionunit="CENTIMETER"
    )
    with open_slide(path) as slide:
        asked = scale_question(slide, 0.25)
    assert asked.startswith("The file states 0.5 µm per pixel.")
    assert asked.endswith("Use 0.25 all the same?")
