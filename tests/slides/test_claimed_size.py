"""A small tile may claim any size in its own header; it is refused before it is decoded."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from muse_core.errors import UserError
from muse_core.slides import open_slide
from muse_core.slides.claimed_size import (
    jpeg2000_px,
    jpeg_px,
    jpegxl_px,
    jpegxr_px,
    png_px,
    webp_px,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)


def with_pillow(kind: str, pixels: np.ndarray, **options: object) -> bytes | bytearray:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, pixels[:, :, 0]])


def in_a_late_box(jp2: bytes | bytearray) -> bytes | bytearray:
    """A box before the image that looks like a codestream of a single pixel."""
    decoy = b"\xff\x4f\xff\x51" + struct.pack(">HH8IH", 41, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1)
    return jp2[:12] + struct.pack(">I4s", 8 + len(decoy), b"free") + decoy + jp2[12:]


@pytest.mark.parametrize(
    ("claimed", "data"),
    [
        (jpeg_px, with_pillow("JPEG", PIXELS)),
        (jpeg_px, with_pillow("JPEG", PIXELS, progressive=True, comment=b"\xff\xc0" * 9)),
        (jpeg2000_px, imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k")),
        (jpeg2000_px, imagecodecs.jpeg2k_encode(PIXELS, codecformat="jp2")),
        (jpeg2000_px, in_a_late_box(imagecodecs.jpeg2k_encode(PIXELS, codecformat="jp2"))),
        (jpegxr_px, imagecodecs.jpegxr_encode(PIXELS)),
        (jpegxl_px, imagecodecs.jpegxl_encode(PIXELS)),
        (jpegxl_px, imagecodecs.jpegxl_encode(PIXELS, usecontainer=True)),
        (webp_px, with_pillow("WEBP", PIXELS, quality=80)),
        (webp_px, with_pillow("WEBP", PIXELS, lossless=True)),
        (webp_px, with_pillow("WEBP", with_alpha(PIXELS), quality=80)),
        (png_px, with_pillow("PNG", PIXELS)),
    ],
    ids=[
        "jpeg",
        "progressive",
        "j2k",
        "jp2",
        "decoy",
        "jpegxr",
        "jpegxl",
        "jpegxl-boxes",
        "webp",
        "lossless",
        "alpha",
        "png",
    ],
)
def test_sizes_are_those_of_the_decoder(claimed: Callable[[bytes], int], data: bytes) -> None:
    assert claimed(bytes(data)) == 48 * 80


@pytest.mark.parametrize("shape", [(8, 8), (256, 256), (300, 301), (1000, 2000), (9, 5000)])
def test_every_way_that_jpeg_xl_says_its_size(shape: tuple[int, int]) -> None:
    data = imagecodecs.jpegxl_encode(np.zeros(shape, np.uint8))
    assert jpegxl_px(bytes(data)) == shape[0] * shape[1]


@pytest.mark.parametrize("claimed", [jpeg_px, jpeg2000_px, jpegxl_px, jpegxr_px, webp_px, png_px])
@pytest.mark.parametrize("data", [b"", b"\xff", bytes(8), b"\xff\xd8\xff\xda\x00\x02"], ids=len)
def test_no_size_is_an_error(claimed: Callable[[bytes], int], data: bytes) -> None:
    with pytest.raises((ValueError, IndexError, struct.error)):
        claimed(data)


def write_tile(path: Path, data: bytes, compression: int) -> Path:
    tifffile.imwrite(
        path,
        iter([bytes(data)]),
        shape=(32, 32, 3),
        dtype="uint8",
        tile=(32, 32),
        photometric="rgb",
        compression=compression,
        metadata=None,
    )
    return path


LARGE = np.zeros((64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("compression", "data"),
    [
        (7, with_pillow("JPEG", LARGE)),
        (33005, imagecodecs.jpeg2k_encode(LARGE, codecformat="j2k")),
        (34712, imagecodecs.jpeg2k_encode(LARGE, codecformat="jp2")),
        (33005, imagecodecs.jpeg2k_encode(np.zeros((5, 32, 32), np.uint8), planar=True)),
        (34934, imagecodecs.jpegxr_encode(LARGE)),
        (50001, with_pillow("WEBP", LARGE)),
        (34933, with_pillow("PNG", LARGE)),
    ],
    ids=["jpeg", "j2k", "jp2", "components", "jpegxr", "webp", "png"],
)
def test_a_tile_larger_than_it_may_be_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: int, data: bytes
) -> None:
    def decode(*_: object, **__: object) -> None:
        pytest.fail("decoded")

    path = write_tile(tmp_path / "a.tif", data, compression)
    monkeypatch.setattr(tifffile.TiffPage, "decode", decode)
    with (
        open_slide(path) as slide,
        pytest.raises(UserError, match=r"a.tif is damaged or truncated: the pixels at x 0, y 0"),
    ):
        slide.read(slide.bounds)


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "jpegxr", "webp", "png"])
def test_tiles_of_their_size_are_read(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"tile": (64, 64), "photometric": "rgb", "metadata": None}
    tifffile.imwrite(path, PIXELS, compression=compression, **options)
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(slide.bounds), tifffile.imread(path))


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    path = write_tile(tmp_path / "a.tif", b"x", 34887)
    with pytest.raises(UserError, match=r"a.tif is compressed with LERC, which cannot be read"):
        open_slide(path)
