from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muse_core.errors import UserError
from muse_core.finetune import UnlabeledSource
from muse_core.finetune.data.unlabeled import read_unlabeled

from ...damaged_slide import write_damaged
from ...job_inputs import write_slide
from ...slides.slide_files import write_ome_zarr


def test_no_region_has_a_part_that_cannot_be_read(tmp_path: Path) -> None:
    slide = tmp_path / "d.tif"
    write_damaged(slide, write_slide(tmp_path / "whole.png"), 350, 250, 0.5)
    images = read_unlabeled([UnlabeledSource(slide)], 0.5, 64, 20, 0)
    assert len(images) == 20
    # Nothing on this slide is white.
    assert all((image.image != 255).any(axis=2).all() for image in images)


def test_an_unknown_scale_is_to_be_given_with_the_path(tmp_path: Path) -> None:
    path = tmp_path / "tissue.png"
    Image.fromarray(np.full((80, 80, 3), 200, np.uint8)).save(path)
    with pytest.raises(UserError, match="--unlabeled PATH=MPP"):
        read_unlabeled([UnlabeledSource(path)], 0.5, 64, 1, 0)


def test_slides_that_are_folders_are_not_passed_over(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(90, 200, (64, 64, 3), np.uint8)
    write_ome_zarr(tmp_path / "a.ome.zarr", [pixels])
    Image.fromarray(255 - pixels).save(tmp_path / "b.png")
    (tmp_path / "results").mkdir()
    found = read_unlabeled([UnlabeledSource(tmp_path, 0.5)], 0.5, 64, 1, 0)
    assert len(found) == 2
    assert np.array_equal(found[0].image, pixels)
    assert np.array_equal(found[1].image, 255 - pixels)
