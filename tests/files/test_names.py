from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from muse_core.classify.feature_file import write_features
from muse_core.files import only_one, shortened
from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import StorePlace

from ..job_inputs import write_slide

LONG = [pytest.param("n" * 251, id="latin"), pytest.param("字" * 83 + "nn", id="chinese")]
"""Longest name that leaves space for the ending in 255 bytes."""


@pytest.mark.parametrize("name", ["", "n", "n" * 9, "字", "字字字", "\udcff", "a\udcffb"])
def test_what_is_short_stays(name: str) -> None:
    assert shortened(name, 10) == name


@pytest.mark.parametrize(
    ("name", "begin"), [("n" * 11, "n" * 10), ("字" * 4, "字" * 3), ("n字字字字", "n字字字")]
)
def test_no_letter_is_cut(name: str, begin: str) -> None:
    assert shortened(name, 10) == begin


@pytest.mark.skipif(sys.platform == "win32", reason="a whole path has 260 letters there")
@pytest.mark.parametrize("name", LONG)
def test_slides_of_the_longest_names_keep_annotations(tmp_path: Path, name: str) -> None:
    slide = write_slide(tmp_path / f"{name}.png", 64, 64)
    with StorePlace(slide).create(ClassScheme.from_names(["a"])) as store:
        assert store.path.parent == tmp_path
        store.add(1, 2, "a")
    found = StorePlace(slide).open()
    assert found is not None
    with found:
        assert len(found.nuclei()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a whole path has 260 letters there")
@pytest.mark.parametrize("name", LONG)
def test_the_longest_names_can_be_written(tmp_path: Path, name: str) -> None:
    target = tmp_path / f"{name[:-1]}.zarr"
    assert len(os.fsencode(target.name)) == 255
    with only_one(target):
        rows = [(np.array([0]), np.ones((1, 4), np.float16))]
        assert write_features(target, nucleus_table([1], [2], "a"), 4, rows, {}) == 1
    assert target.is_dir()
