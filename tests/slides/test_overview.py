from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.slides import open_slide, overview_cache
from muse_core.slides import overview as overview_module
from muse_core.slides.level import ArrayLevel, Level
from muse_core.slides.overview import OverviewLevel, make_overview, overview_sizes

SHAPE = (2300, 3100)


class InPieces(ArrayLevel):
    """An array in chunks, which records those that it decodes."""

    read = Level.read

    def __init__(self, pixels: Any, piece_px: int = 1024) -> None:
        super().__init__("a", pixels)
        self.piece_h, self.piece_w = min(piece_px, self.height), min(piece_px, self.width)
        self.decoded: list[tuple[int, int]] = []

    def _decode(self, row: int, col: int) -> Any:
        self.decoded.append((row, col))
        return super()._decode(row, col)


@pytest.fixture
def pixels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


def _levels(folder: Path, base: Level) -> list[OverviewLevel]:
    sizes = overview_sizes(base.height, base.width)
    return [OverviewLevel(base, folder / str(i), *s, 4 ** (i + 1)) for i, s in enumerate(sizes)]


def _whole(level: Level) -> Any:
    return level.read(0, 0, level.width, level.height)


def _means(pixels: Any) -> Any:
    """Means of squares of 4 x 4, in floating point; at the edges of smaller parts."""
    height, width = (-(-n // 4) for n in pixels.shape[:2])
    out = np.empty((height, width, 3))
    for y in range(height):
        rows = pixels[4 * y : 4 * y + 4].astype(float).mean(axis=0)
        out[y] = [rows[4 * x : 4 * x + 4].mean(axis=0) for x in range(width)]
    return out


def test_levels_are_means_of_what_lies_under_them(tmp_path: Path, pixels: Any) -> None:
    base = ArrayLevel("a", pixels)
    levels = _levels(tmp_path, base)
    assert [level.shape for level in levels] == [(575, 775, 3)]
    assert make_overview(base, levels, lambda: False)
    np.testing.assert_allclose(_whole(levels[0]), _means(pixels), atol=0.51)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(4, 40), st.integers(1, 50))
def test_any_size_gives_all_rows_of_all_levels(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, band: int, piece: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overview_module, "_COARSEST_PX", 2)
        patch.setattr(overview_module, "_BAND_PX", band)
        patch.setattr(overview_module, "_BLOCK_PX", 64)
        pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
        base = InPieces(pixels, piece)
        levels = _levels(tmp_path_factory.mktemp("o"), base)
        assert make_overview(base, levels, lambda: False)
        wanted: Any = pixels
        for level in levels:
            # Pillow multiplies by a rounded reciprocal for squares cut by the edge.
            np.testing.assert_allclose(_whole(level), _means(wanted), atol=1.0)
            wanted = _whole(level)


def test_what_is_not_made_yet_is_grey_and_each_piece_is_decoded_once(
    tmp_path: Path, pixels: Any
) -> None:
    base = InPieces(pixels, 512)
    (level,) = _levels(tmp_path, base)
    assert (_whole(level) == 232).all()
    seen: list[int] = []

    def stop() -> bool:
        seen.append(level.rows)
        return len(seen) == 3

    assert not make_overview(base, [level], stop)
    assert seen == [0, 128, 256]
    assert (_whole(level)[256:] == 232).all()
    np.testing.assert_allclose(_whole(level)[:256], _means(pixels[:1024]), atol=0.51)
    assert len(base.decoded) == len(set(base.decoded)) == 2 * 7


def test_without_its_file_pixels_are_left_out(tmp_path: Path, pixels: Any) -> None:
    base = ArrayLevel("a", pixels)
    (level,) = _levels(tmp_path, base)
    make_overview(base, [level], lambda: False)
    level.path.unlink()
    np.testing.assert_array_equal(_whole(level), pixels[::4, ::4])


def test_of_a_file_that_is_cut_short_pixels_are_left_out(tmp_path: Path, pixels: Any) -> None:
    base = ArrayLevel("a", pixels)
    (level,) = _levels(tmp_path, base)
    make_overview(base, [level], lambda: False)
    os.truncate(level.path, 540 * level.width * 3)
    found = _whole(level)
    np.testing.assert_array_equal(found[512:], pixels[::4, ::4][512:])


@pytest.fixture
def flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Writes flat TIFFs, each with different pixels."""
    monkeypatch.setenv(overview_cache.OVERVIEWS_VARIABLE, str(tmp_path / "overviews"))

    def write(number: int) -> Path:
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, np.full((2100, 1500, 3), number, np.uint8), photometric="rgb")
        return path

    return write


def _make(path: Path, finish: bool = True) -> list[OverviewLevel] | None:
    with open_slide(path) as slide:
        sizes = overview_sizes(slide.height, slide.width)
        levels = overview_cache.begin_overview(slide, sizes)
        if levels is not None:
            assert make_overview(slide.source.levels[0], levels, lambda: False)
            if finish:
                overview_cache.finish_overview(levels)
    return levels


def _find(path: Path) -> list[OverviewLevel] | None:
    with open_slide(path) as slide:
        return overview_cache.find_overview(slide, overview_sizes(slide.height, slide.width))


def test_an_overview_is_found_again_until_the_file_changes(flat: Callable[[int], Path]) -> None:
    path = flat(1)
    assert _find(path) is None
    _make(path, finish=False)
    assert _find(path) is None, "it was not finished"
    _make(path)
    found = _find(path)
    assert found is not None
    assert (_whole(found[0]) == 1).all()
    os.utime(path, ns=(1, 1))
    assert _find(path) is None


def test_all_overviews_together_are_bounded(
    flat: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = 525 * 375 * 3
    monkeypatch.setattr(overview_cache, "MAX_BYTES", 2 * one)
    paths = [flat(n) for n in range(3)]
    for seconds, path in enumerate(paths[:2]):
        levels = _make(path)
        assert levels is not None
        for file in levels[0].path.parent.iterdir():
            os.utime(file, (seconds, seconds))
    assert _find(paths[0]), "it was used again"
    _make(paths[2])
    assert [_find(path) is not None for path in paths] == [True, False, True]
    monkeypatch.setattr(overview_cache, "MAX_BYTES", one - 1)
    os.utime(paths[0], ns=(1, 1))
    assert _make(paths[0]) is None, "too large alone"


def test_a_full_disk_stops_it(tmp_path: Path, pixels: Any) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    base = ArrayLevel("a", pixels)
    level = OverviewLevel(base, full, 575, 775, 4)
    with pytest.raises(OSError, match="No space") as caught:
        make_overview(base, [level], lambda: False)
    assert caught.value.errno == errno.ENOSPC
    level.give_up()
    np.testing.assert_array_equal(_whole(level), pixels[::4, ::4])
