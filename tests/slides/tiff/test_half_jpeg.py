"""JPEG tiles at half size, compared with the average of all their pixels."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from muse_core.errors import UserError
from muse_core.slides import Region, Slide, open_slide
from muse_core.slides.tiff.half_jpeg import joined_jpeg

SIZE = (300, 421)


def tissue(height: int, width: int) -> np.ndarray:
    """Smooth pink and purple, and a bright green corner that distinguishes RGB from YCbCr."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(height, width, 1)), (3, 3, 0))
    dark = np.clip(0.5 + noise * 8, 0, 1)
    rgb = np.array((235, 190, 215)) * (1 - dark) + np.array((90, 60, 140)) * dark
    rgb[:64, :64] = (10, 240, 20)
    result: np.ndarray = rgb.round().astype(np.uint8)
    return result


def write(path: Path, mark_as: str) -> Path:
    """A TIFF of JPEG tiles whose colours are stored and declared in one of the possible ways."""
    padding = ((0, -SIZE[0] % 128), (0, -SIZE[1] % 128), (0, 0))
    padded = np.pad(tissue(*SIZE), padding, mode="edge")
    ycbcr = mark_as == "ycbcr"
    tiles = [
        bytes(
            imagecodecs.jpeg8_encode(
                np.ascontiguousarray(padded[y : y + 128, x : x + 128]),
                level=95,
                colorspace="RGB",
                outcolorspace="YCBCR" if ycbcr else "RGB",
                subsampling="420" if ycbcr else "444",
            )
        )
        for y in range(0, SIZE[0], 128)
        for x in range(0, SIZE[1], 128)
    ]
    if mark_as == "rgb, bare":
        # As Aperio writes them: RGB, without a mark of it in the tile.
        tiles = [_without_markers(tile) for tile in tiles]
    options: dict[str, Any] = {"subsampling": (2, 2)} if ycbcr else {}
    with tifffile.TiffWriter(path) as tif:
        tif.write(
            iter(tiles),
            shape=(*SIZE, 3),
            dtype=np.uint8,
            tile=(128, 128),
            photometric="ycbcr" if ycbcr else "rgb",
            compression="jpeg",
            metadata=None,
            **options,
        )
    return path


def _without_markers(jpeg: bytes) -> bytes:
    at, kept = 2, [jpeg[:2]]
    while jpeg[at + 1] != 0xDA:
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big") + 2
        if jpeg[at + 1] not in (0xE0, 0xEE):
            segment = jpeg[at : at + length]
            kept.append(segment)
        at += length
    return b"".join([*kept, jpeg[at:]])


def halves(slide: Slide) -> tuple[np.ndarray, np.ndarray]:
    """The slide at half its size: decoded at half size, and averaged from all pixels."""
    assert slide.mpp is not None
    half = slide.read(slide.bounds, 2 * slide.mpp, half=True)
    whole = slide.read(slide.bounds).astype(float)
    height, width = (side // 2 * 2 for side in whole.shape[:2])
    whole = whole[:height, :width]
    mean = whole.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3))
    return half[: height // 2, : width // 2].astype(float), mean


@pytest.mark.parametrize("mark_as", ["ycbcr", "rgb, bare", "rgb, marked"])
def test_half_is_the_average_of_all_pixels_in_every_colour(tmp_path: Path, mark_as: str) -> None:
    with open_slide(write(tmp_path / "s.tiff", mark_as), mpp=0.25) as slide:
        assert slide.exact_downsamples(half=True) == (1.0, 2.0)
        half, mean = halves(slide)
    assert np.abs(half - mean).mean() < 1.5
    # The colour is right, not merely similar.
    np.testing.assert_allclose(half[8:24, 8:24].mean(axis=(0, 1)), (10, 240, 20), atol=4)


def test_half_of_a_real_slide_is_the_average_of_all_pixels(cmu_slide: Path) -> None:
    with open_slide(cmu_slide) as slide:
        half, mean = halves(slide)
    difference = half - mean
    assert np.abs(difference).mean() < 2
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.5


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib", "photometric": "rgb", "tile": (128, 128)},
        {"compression": "jpeg", "photometric": "ycbcr", "rowsperstrip": 64},
    ],
)
def test_what_is_no_tile_of_colour_jpeg_is_read_whole(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "s.tiff"
    tifffile.imwrite(path, tissue(*SIZE), **options)
    with open_slide(path, mpp=0.25) as slide:
        assert slide.exact_downsamples(half=True) == (1.0,)
        asked = slide.read(slide.bounds, 0.5, half=True)
        np.testing.assert_array_equal(asked, slide.read(slide.bounds, 0.5))


@pytest.mark.parametrize("mpp", [0.3, 0.49])
def test_what_needs_more_than_half_is_read_whole(tmp_path: Path, mpp: float) -> None:
    with open_slide(write(tmp_path / "s.tiff", "ycbcr"), mpp=0.25) as slide:
        asked = slide.read(slide.bounds, mpp, half=True)
        np.testing.assert_array_equal(asked, slide.read(slide.bounds, mpp))


@given(
    x=st.integers(-20, 400), y=st.integers(-20, 280), w=st.integers(1, 300), h=st.integers(1, 300)
)
@settings(max_examples=60, deadline=None)
def test_tiles_of_halves_join_without_seams(
    half_slide: Slide, x: int, y: int, w: int, h: int
) -> None:
    whole = half_slide.read(Region(-40, -40, 1000, 800), 0.5, half=True)
    part = half_slide.read(Region(2 * x, 2 * y, 2 * w, 2 * h), 0.5, half=True)
    expected = whole[y + 20 : y + 20 + h, x + 20 : x + 20 + w]
    np.testing.assert_array_equal(part[: expected.shape[0], : expected.shape[1]], expected)


@pytest.fixture(scope="module")
def half_slide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    path = write(tmp_path_factory.mktemp("half") / "s.tiff", "ycbcr")
    with open_slide(path, mpp=0.25) as slide:
        yield slide


@pytest.mark.parametrize("spoil", [lambda d: b"\xff\xd8" + bytes(40), lambda d: d[: len(d) // 3]])
def test_a_damaged_tile_is_told_as_when_it_is_read_whole(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    path = write(tmp_path / "s.tiff", "ycbcr")
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0].aspage()
        at, count = page.dataoffsets[4], page.databytecounts[4]
    data = bytearray(path.read_bytes())
    data[at : at + count] = spoil(bytes(data[at : at + count])).ljust(count, b"\0")
    path.write_bytes(data)

    def outcome(half: bool) -> str:
        with open_slide(path, mpp=0.25) as slide:
            try:
                slide.read(slide.bounds, 0.5, half=half)
            except UserError as error:
                return str(error)
        return ""

    assert bool(outcome(True)) == bool(outcome(False))


@given(st.binary(max_size=60), st.binary(max_size=60), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_joining_fail_otherwise_than_said(
    data: bytes, tables: bytes, is_rgb: bool
) -> None:
    for start in (b"", b"\xff\xd8", b"\xff\xd8\xff\xe0"):
        with contextlib.suppress(ValueError, IndexError, struct.error):
            assert joined_jpeg(start + data, tables, is_rgb).startswith(b"\xff\xd8")
