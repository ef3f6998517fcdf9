"""Uncompressed pixels: any part of them is right, and a file that is cut short ends no program."""

from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.slides import open_slide
from muse_core.slides.raw_pixels import RawPixels

_SHAPE = (23, 31, 3)


@pytest.fixture(scope="module", params=["<u1", "<u2", ">u2"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An uncompressed TIFF, open, and the samples it was made of."""
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 256, _SHAPE).astype(request.param)
    path = tmp_path_factory.mktemp("raw") / "s.tif"
    order = request.param[0]
    tifffile.imwrite(path, samples, photometric="rgb", byteorder=order)
    with tifffile.TiffFile(path) as tif:
        yield tif, samples


@given(edges=st.lists(st.integers(0, 31), min_size=4, max_size=4))
def test_any_part_is_that_of_the_array(stored: Any, edges: list[int]) -> None:
    tif, samples = stored
    raw = _raw(tif, samples, 1)
    y, x = slice(*sorted(edges[:2])), slice(*sorted(edges[2:]))
    np.testing.assert_array_equal(raw[y, x], samples[y, x])


def test_planes_are_put_together(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).integers(0, 256, (3, 20, 30), np.uint8)
    tifffile.imwrite(
        tmp_path / "s.tif", samples, photometric="minisblack", metadata={"axes": "CYX"}
    )
    with tifffile.TiffFile(tmp_path / "s.tif") as tif:
        offsets = [int(page.dataoffsets[0]) for page in tif.pages]
        raw = RawPixels(tif, threading.Lock(), "s.tif", offsets, (20, 30, 1), np.dtype(np.uint8))
        assert raw.shape == (20, 30, 3)
        np.testing.assert_array_equal(raw[3:9, 5:11], np.moveaxis(samples, 0, 2)[3:9, 5:11])


def test_what_ends_too_early_or_is_closed_says_so(tmp_path: Path) -> None:
    samples = np.zeros(_SHAPE, np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", samples, photometric="rgb")
    with tifffile.TiffFile(tmp_path / "s.tif") as tif:
        with pytest.raises(UserError, match="is truncated"):
            _raw(tif, samples, 2)
        raw = _raw(tif, samples, 1)
    with pytest.raises(UserError, match="has been closed"):
        raw[0:1, 0:1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not cut open files")
@pytest.mark.parametrize("kind", ["rgb", "minisblack"])
def test_a_slide_that_is_cut_short_while_open_gives_a_sentence(tmp_path: Path, kind: str) -> None:
    """In a process of its own: a mapped file would end it with a bus error."""
    shape = (3000, 2000, 3) if kind == "rgb" else (3000, 2000)
    tifffile.imwrite(tmp_path / "s.tif", np.full(shape, 200, np.uint8), photometric=kind)
    code = (
        "import os, sys\n"
        "from muse_core.errors import UserError\n"
        "from muse_core.slides import open_slide\n"
        "with open_slide(sys.argv[1], mpp=0.5) as slide:\n"
        "    os.truncate(sys.argv[1], 1000)\n"
        "    try:\n"
        "        slide.levels[0][2000:2100, :100].compute()\n"
        "    except UserError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s.tif")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "s.tif is truncated: it is shorter than its directory says.\n"


def test_a_wide_slide_is_read_where_one_looks(tmp_path: Path) -> None:
    samples = np.random.default_rng(2).integers(0, 256, (64, 5000, 3), np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", samples, photometric="rgb")
    with open_slide(tmp_path / "s.tif", mpp=0.5) as slide:
        part = slide.levels[0][10:40, 4000:4500].compute()
    np.testing.assert_array_equal(part, samples[10:40, 4000:4500])


def _raw(tif: tifffile.TiffFile, samples: np.ndarray[Any, Any], times: int) -> RawPixels:
    """The pixels of a file, as if it had some times as many rows."""
    height, width, n = samples.shape
    offset = int(tif.pages[0].dataoffsets[0])
    stored = samples.dtype
    return RawPixels(tif, threading.Lock(), "s.tif", [offset], (times * height, width, n), stored)


def test_pixels_are_not_copied_once_more_than_they_are_read(tmp_path: Path) -> None:
    samples = np.zeros((2000, 1000, 3), np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", samples, photometric="rgb")
    with open_slide(tmp_path / "s.tif") as slide:
        level = slide.source.levels[0]
        level.read(0, 0, 10, 10)
        tracemalloc.start()
        try:
            level.read(0, 0, 900, 2000)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 1.2 * 900 * 2000 * 3
