from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from muse_core.errors import UserError
from muse_core.slides import Region, Slide, open_slide
from muse_core.slides.level import ArrayLevel
from muse_core.slides.slide import SlideSource, pyramid

from .slide_files import write_pyramid_tiff

MPP = 0.25


def memory_slide(*levels: np.ndarray, mpp: float | None = MPP) -> Slide:
    kept, downsamples = pyramid([ArrayLevel("memory", level) for level in levels])
    return Slide(SlideSource(Path("memory"), "array", kept, downsamples, mpp))


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory, halves: list[np.ndarray]) -> Iterator[Any]:
    path = write_pyramid_tiff(tmp_path_factory.mktemp("slide") / "p.tif", halves)
    with open_slide(path, mpp=MPP) as opened:
        yield opened


def smooth_picture(height: int = 400, width: int = 500) -> np.ndarray:
    """Slow waves, which sampling at any scale must reproduce exactly except for rounding."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    waves = [np.sin(x / 23 + p) * np.cos(y / 31 - p) for p in (0.0, 0.7, 1.9)]
    return (127.5 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def test_level_0_as_it_is(slide: Slide, picture: np.ndarray) -> None:
    assert np.array_equal(slide.read(slide.bounds), picture)
    assert np.array_equal(slide.read(Region(130, 90, 300, 200)), picture[90:290, 130:430])


def test_levels_are_lazy_arrays(slide: Slide, halves: list[np.ndarray]) -> None:
    assert slide.downsamples == (1.0, 2.0, 4.0)
    for level, stored in zip(slide.levels, halves, strict=True):
        assert isinstance(level, da.Array)
        assert level.dtype == np.uint8
        assert np.array_equal(level.compute(), stored)
    assert np.array_equal(slide.levels[0][5:300:7, 11:200].compute(), halves[0][5:300:7, 11:200])


def test_a_stored_level_is_used_as_it_is(slide: Slide, halves: list[np.ndarray]) -> None:
    assert np.array_equal(slide.read(slide.bounds, MPP * 2), halves[1])
    assert np.array_equal(slide.read(slide.bounds, MPP * 4), halves[2])


def test_output_size_and_scale(slide: Slide) -> None:
    assert slide.read(Region(0, 0, 100, 60), 0.5).shape == (30, 50, 3)
    assert slide.read(Region(3.3, 7.9, 99.9, 60.2), 0.3).shape == (50, 83, 3)
    assert slide.read(Region(0, 0, 0.1, 0.1), 2.0).shape == (1, 1, 3)


@pytest.mark.parametrize("mpp", [0.25, 0.3, 0.5, 0.77, 1.0, 2.0])
@pytest.mark.parametrize("corner", [(0.0, 0.0), (17.25, 40.8)])
def test_positions_are_exact(mpp: float, corner: tuple[float, float]) -> None:
    """Every output pixel shows the image at its centre, at any scale and offset."""
    picture = smooth_picture()
    slide = memory_slide(picture, np.asarray(Image.fromarray(picture).reduce(2)))
    read = slide.read(Region(*corner, 300, 240), mpp).astype(float)
    step = mpp / MPP
    y, x = np.mgrid[0 : read.shape[0], 0 : read.shape[1]] + 0.5
    y, x = corner[1] + y * step, corner[0] + x * step
    waves = [np.sin(x / 23 + p) * np.cos(y / 31 - p) for p in (0.0, 0.7, 1.9)]
    expected = 127.5 + 100 * np.stack(waves, axis=2)
    inner = slice(3, -3)
    assert np.abs(read - expected)[inner, inner].max() < 4.0
    assert np.abs(np.mean((read - expected)[inner, inner])) < 0.8


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    x=st.floats(-60, 500),
    y=st.floats(-60, 600),
    cut=st.integers(1, 79),
    mpp=st.floats(0.25, 2.2),
)
def test_two_tiles_join_to_what_one_read_gives(
    slide: Slide, x: float, y: float, cut: int, mpp: float
) -> None:
    """A tile depends only on its position, not on what else is read with it."""
    step = mpp / MPP
    whole = slide.read(Region(x, y, 80 * step, 40 * step), mpp)
    left = slide.read(Region(x, y, cut * step, 40 * step), mpp)
    right = slide.read(Region(x + cut * step, y, (80 - cut) * step, 40 * step), mpp)
    joined = np.concatenate([left, right], axis=1)
    assert joined.shape == whole.shape
    assert np.abs(joined.astype(int) - whole).max() <= 2


def test_large_reads_go_block_by_block_without_seams(
    monkeypatch: pytest.MonkeyPatch, slide: Slide
) -> None:
    whole = slide.read(slide.bounds, 0.9)
    monkeypatch.setattr("muse_core.slides.resample._BLOCK_SOURCE_PX", 100 * 100)
    assert np.abs(slide.read(slide.bounds, 0.9).astype(int) - whole).max() <= 2


def test_white_beyond_the_slide(slide: Slide, picture: np.ndarray) -> None:
    read = slide.read(Region(-50, -20, 100, 60))
    assert (read[:20] == 255).all()
    assert (read[:, :50] == 255).all()
    assert np.array_equal(read[20:, 50:], picture[:40, :50])
    assert (slide.read(Region(5000, 5000, 100, 100), 0.7) == 255).all()


def test_dark_slide_stays_dark_to_its_edge_at_a_level_that_was_cut_off() -> None:
    """A level of 625 // 2 columns ends half a pixel early; no bright rim may appear there."""
    dark = np.full((625, 625, 3), 40, np.uint8)
    slide = memory_slide(dark, dark[:312, :312])
    assert slide.downsamples == (1.0, 2.0)
    assert slide.read(slide.bounds, 2 * MPP).max() <= 40


def test_levels_of_other_proportions_are_left_out() -> None:
    slide = memory_slide(
        np.zeros((400, 400, 3), np.uint8),
        np.zeros((100, 300, 3), np.uint8),
        np.zeros((100, 100, 3), np.uint8),
    )
    assert slide.downsamples == (1.0, 4.0)


def test_so_are_those_a_little_too_wide() -> None:
    """At the far side they would show what lies 20 px away."""
    slide = memory_slide(
        np.zeros((2560, 2560, 3), np.uint8),
        np.zeros((1280, 1300, 3), np.uint8),
        np.zeros((640, 640, 3), np.uint8),
    )
    assert slide.downsamples == (1.0, 4.0)


def test_scale_given_by_hand(slide: Slide) -> None:
    other = slide.with_mpp(0.5)
    assert (slide.mpp, other.mpp) == (0.25, 0.5)
    assert other.read(Region(0, 0, 100, 100), 0.5).shape == (100, 100, 3)


@pytest.mark.parametrize("mpp", [0.0, -0.5, float("nan"), float("inf"), 1e-4, 1000.0])
def test_impossible_scales_are_refused(slide: Slide, mpp: float) -> None:
    with pytest.raises(UserError, match="Microns per pixel"):
        slide.with_mpp(mpp)
    with pytest.raises(UserError, match="Microns per pixel"):
        slide.read(Region(0, 0, 10, 10), mpp)
    with pytest.raises(UserError, match="Microns per pixel"):
        open_slide(slide.path, mpp=mpp)


def test_unknown_scale_says_what_to_do() -> None:
    slide = memory_slide(smooth_picture(), mpp=None)
    assert slide.read(Region(0, 0, 10, 10)).shape == (10, 10, 3)
    with pytest.raises(UserError, match="--mpp"):
        slide.require_mpp()
    with pytest.raises(UserError, match="--mpp"):
        slide.read(Region(0, 0, 10, 10), 0.5)


def test_reading_too_much_at_once_is_refused(slide: Slide) -> None:
    with pytest.raises(UserError, match="too much"):
        slide.read(Region(0, 0, 1e5, 1e5))


def test_reading_after_closing_is_an_error_not_garbage(
    tmp_path: Path, halves: list[np.ndarray]
) -> None:
    path = write_pyramid_tiff(tmp_path / "p.tif", halves, compression="jpeg")
    slide = open_slide(path)
    slide.close()
    slide.close()
    with pytest.raises(UserError, match="closed"):
        slide.read(Region(0, 0, 10, 10))


def test_reads_from_many_threads_agree_with_reads_from_one(cmu_slide: Path) -> None:
    tiles = [Region(x, y, 300, 300) for y in range(0, 2900, 290) for x in range(0, 2200, 290)]
    with open_slide(cmu_slide) as slide:
        alone = [slide.read(tile, 0.6) for tile in tiles]
    barrier = threading.Barrier(8)

    def read(slide: Slide, tile: Region) -> np.ndarray:
        return slide.read(tile, 0.6)

    with open_slide(cmu_slide) as slide, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: barrier.wait(), range(8)))
        together = list(pool.map(lambda tile: read(slide, tile), tiles))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
