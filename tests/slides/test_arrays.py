from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import zarr

from muse_core.errors import UserError
from muse_core.slides import Region, slide_from_arrays

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (1100, 1300, 3), dtype=np.uint8)


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
    ],
    ids=["numpy", "dask", "zarr", "channels first", "dask, channels first", "pyramid"],
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
        (np.zeros((8, 8, 3)), "holds float64 values"),
        (np.zeros((8, 8, 2), np.uint8), r"has the shape \(8, 8, 2\)"),
        (np.zeros((5, 8, 8, 3), np.uint8), r"has the shape \(5, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), "without pixels"),
        (np.zeros(8, np.uint8), r"has the shape \(8,\)"),
        ([], "has no levels"),
        ("text", "holds object values"),
    ],
)
def test_what_is_no_image_is_refused(array: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        slide_from_arrays(array, 0.5)
