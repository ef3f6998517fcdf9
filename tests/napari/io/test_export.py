"""Suggested names for files of nuclei; no window is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from muse_core.slides import ImageChoice, open_slide, slide_from_arrays
from napari_muse.io.export import suggested_export, suggested_project

from ...slides.image_files import write_pages

RNG = np.random.default_rng(0)


def test_nuclei_lie_beside_the_slide_those_of_each_image_under_a_name_of_their_own(
    tmp_path: Path,
) -> None:
    first, second = (RNG.integers(0, 255, (256, 256, 3), np.uint8) for _ in range(2))
    path = write_pages(tmp_path / "s.tif", (first, {}), (second, {}))
    names = []
    for choice in (ImageChoice(), ImageChoice(image=2)):
        with open_slide(path, 0.5, choice) as slide:
            assert slide.n_images == 2
            names.append(Path(suggested_export(slide)))
    assert [name.parent for name in names] == [tmp_path, tmp_path]
    assert [name.name for name in names] == ["s-image1.csv", "s-image2.csv"]


def test_what_is_no_file_has_a_name_alone() -> None:
    slide = slide_from_arrays(RNG.integers(0, 255, (64, 64, 3), np.uint8), 0.5)
    assert "/" not in suggested_export(slide)
    assert suggested_export(slide).endswith(".csv")
    assert suggested_export(None) == "nuclei.csv"
    assert suggested_project(None) == "image.muse"
    assert suggested_project(slide).endswith(".muse")
