from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import torch
import zarr

from muse_core.errors import UserError
from muse_core.slides import Region, slide_from_arrays
from muse_core.slides.arrays import array_level

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (1100, 1300, 3), dtype=np.uint8)


def _filtered(array: npt.NDArray[np.uint8]) -> Any:
    """An array whose number of rows dask does not know, as after a selection."""
    rows = da.from_array(np.ones(len(array), bool), chunks=4)
    return da.from_array(array, chunks=(4, 8, 3))[rows]


def _pixels(levels: Any) -> npt.NDArray[np.uint8]:
    slide = slide_from_arrays(levels, 0.5)
    return slide.read(slide.bounds)


@pytest.mark.parametrize(
    "array",
    [
        RGB,
        da.from_array(RGB, chunks=(300, 400, 3)),
        zarr.array(RGB, chunks=(256, 256, 3)),
        np.ascontiguousarray(RGB.transpose(2, 0, 1)),
        da.from_array(RGB.transpose(2, 0, 1), chunks=(1, 300, 400)),
        [RGB, RGB[::2, ::2]],
        RGB[None, None],
        zarr.array(RGB.transpose(2, 0, 1)[None], chunks=(1, 3, 256, 256)),
    ],
    ids=[
        "numpy",
        "dask",
        "zarr",
        "channels first",
        "dask, channels first",
        "pyramid",
        "axes of length 1",
        "zarr, axes of length 1, channels first",
    ],
)
def test_pixels_are_those_of_the_array(array: Any) -> None:
    assert np.array_equal(_pixels(array), RGB)


def test_gray_is_gray_and_alpha_is_laid_on_white() -> None:
    gray = RGB[:, :, 0]
    assert np.array_equal(_pixels(gray), np.repeat(gray[:, :, None], 3, axis=2))
    clear = np.dstack([np.zeros_like(RGB), np.zeros(RGB.shape[:2], np.uint8)])
    assert (_pixels(clear) == 255).all()


def test_sixteen_bits_become_eight_with_one_white_for_all_levels() -> None:
    wide = RGB.astype(np.uint16) * 257
    assert np.array_equal(_pixels([wide, wide[::2, ::2]]), RGB)


def test_a_pyramid_has_its_downsamples() -> None:
    slide = slide_from_arrays([RGB[::4, ::4], RGB, RGB[::2, ::2]], 0.25, "mine")
    assert slide.downsamples == (1.0, 2.0, 4.0)
    assert (slide.name, slide.mpp, slide.width, slide.height) == ("mine", 0.25, 1300, 1100)
    assert slide.read(Region(0, 0, 1300, 1100), 1.0).shape == (275, 325, 3)


def test_only_the_piece_that_is_asked_for_is_computed() -> None:
    asked: list[Any] = []

    class Watched:
        shape, dtype = (100_000, 100_000, 3), np.dtype(np.uint8)

        def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
            asked.append(key)
            return np.zeros((*(s.stop - s.start for s in key), 3), np.uint8)

    slide_from_arrays(Watched(), 0.5).read(Region(5000, 7000, 100, 100))
    assert asked == [(slice(6144, 7168), slice(4096, 5120))]


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((8, 8, 3)), r"holds float64 values; .* Values from 0 to 1 become uint8 by"),
        (np.zeros((8, 8, 2), np.uint8), r"has the shape \(8, 8, 2\)"),
        (np.zeros((5, 8, 8, 3), np.uint8), r"has the shape \(5, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), "without pixels"),
        (np.zeros(8, np.uint8), r"has the shape \(8,\)"),
        ([], "has no levels"),
        ("text", r"is a str; .* numpy.asarray\(...\) of it"),
        (torch.zeros((8, 8, 3), dtype=torch.uint8), "is a Tensor"),
        (np.zeros((8, 8, 3), object), r"holds object values; .* can be read\.$"),
        (
            _filtered(np.zeros((8, 8, 3), np.uint8)),
            r"unknown length; call its compute_chunk_sizes\(",
        ),
    ],
)
def test_what_is_no_image_is_refused(array: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        slide_from_arrays(array, 0.5)


@pytest.mark.parametrize("names", [("x", "y", "c"), ("c", "X", "Y")])
def test_axes_that_are_named_the_other_way_round_are_refused(names: tuple[str, ...]) -> None:
    image = RGB if names[-1] == "c" else RGB.transpose(2, 0, 1)
    stored = zarr.create_array({}, data=image, dimension_names=names)
    with pytest.raises(UserError, match=r"has the axes .*x, y.*; rows come first, so transpose it"):
        slide_from_arrays(stored, 0.5)


def test_images_of_xarray() -> None:
    xarray = pytest.importorskip("xarray")
    slide = slide_from_arrays(xarray.DataArray(RGB.transpose(2, 0, 1), dims=("c", "y", "x")), 0.5)
    assert np.array_equal(slide.levels[0].compute(), RGB)
    with pytest.raises(UserError, match="rows come first"):
        slide_from_arrays(xarray.DataArray(RGB, dims=("x", "y", "c")), 0.5)


def _mark(array: Any) -> str:
    return array_level(array, "x").fingerprint()


def test_the_fingerprint_is_of_the_image_and_not_of_its_container() -> None:
    same = [
        RGB,
        da.from_array(RGB, chunks=(300, 400, 3)),
        da.from_array(RGB, chunks=(1100, 1300, 1)),
        zarr.array(RGB, chunks=(256, 256, 3)),
        RGB.transpose(2, 0, 1),
        RGB[None],
        np.asfortranarray(RGB),
    ]
    assert len({_mark(array) for array in same}) == 1
    wide = RGB.astype(np.uint16)
    assert _mark(wide) == _mark(wide.astype(wide.dtype.newbyteorder(">")))
    alpha = np.dstack([RGB, RGB[:, :, 0]])
    other = [
        RGB,
        wide,
        alpha,
        RGB[:-1],
        RGB[:, :-1],
        RGB[::-1],
        RGB.transpose(1, 0, 2),
        RGB[:, :, 0],
    ]
    assert len({_mark(array) for array in other}) == len(other)


def test_the_fingerprint_of_a_small_image_sees_each_pixel() -> None:
    small = RGB[:300, :500].copy()
    before = _mark(small)
    small[137, 251, 1] += 1
    assert _mark(small) != before


def _watched(chunk_px: int, n: int) -> tuple[da.Array, list[Any]]:
    """A black image of n x n chunks, and a list to which each adds its place when computed."""
    computed: list[Any] = []

    def block(block_info: Any = None) -> npt.NDArray[np.uint8]:
        computed.append(tuple(block_info[None]["chunk-location"]))
        return np.zeros(block_info[None]["chunk-shape"], np.uint8)

    sides = (chunk_px,) * n
    meta = np.empty((0, 0, 0), "u1")
    return da.map_blocks(block, chunks=(sides, sides, (3,)), dtype=np.uint8, meta=meta), computed


def test_a_fingerprint_computes_few_chunks_of_a_large_array_and_each_once() -> None:
    array, computed = _watched(5000, 20)
    _mark(array)
    assert len(computed) == len(set(computed)) <= 64


def test_an_array_that_cannot_be_computed_is_one_sentence() -> None:
    def fail(block: Any) -> Any:
        raise RuntimeError("the microscope is off.\nmore")

    array = da.zeros((600, 700, 3), dtype=np.uint8).map_blocks(fail, meta=np.empty((0, 0, 0), "u1"))
    with pytest.raises(
        UserError, match=r"^x cannot be read: RuntimeError: the microscope is off\.$"
    ):
        _mark(array)


def test_an_array_put_together_of_many_is_not_gone_through_for_each_piece() -> None:
    """As from a folder of tiles: dask has two layers for each, and takes seconds for thousands."""
    tiles = [
        [RGB[y : y + 100, x : x + 100] for x in range(0, 1300, 100)] for y in range(0, 1100, 100)
    ]
    delayed = dask.delayed(np.copy)
    array = da.block(
        [[[da.from_delayed(delayed(tile), tile.shape, np.uint8)] for tile in row] for row in tiles]
    )
    assert len(array.__dask_graph__().layers) > 143
    level = array_level(array, "x")
    assert len(level.array.__dask_graph__().layers) == 1
    assert np.array_equal(_pixels(array), RGB)
    assert level.fingerprint() == _mark(RGB)
    few = da.from_array(RGB, chunks=(300, 400, 3))
    assert array_level(few, "x").array is few


@pytest.mark.parametrize(
    ("chunk", "piece"),
    [
        ((256, 256), (1024, 1024)),
        ((300, 700), (900, 700)),
        ((3000, 5000), (3000, 5000)),
        ((20_000, 20_000), (2048, 2048)),
        ((1, 20_000), (1024, 20_000)),
    ],
)
def test_pieces_are_whole_chunks_where_that_fits(
    chunk: tuple[int, int], piece: tuple[int, int]
) -> None:
    lazy = da.zeros((20_000, 20_000, 3), dtype=np.uint8, chunks=(*chunk, 3))
    stored = zarr.empty(shape=(3, 20_000, 20_000), chunks=(3, *chunk), dtype="u1")
    for array in (lazy, stored):
        level = array_level(array, "x")
        assert (level.piece_h, level.piece_w) == piece


def test_each_chunk_is_computed_once_for_tiles_beside_each_other() -> None:
    array, computed = _watched(3000, 2)
    slide = slide_from_arrays(array, 0.5)
    for y in range(0, 6000, 500):
        for x in range(0, 6000, 500):
            slide.read(Region(x, y, 500, 500))
    assert sorted(computed) == [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]
