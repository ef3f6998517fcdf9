from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from muse_core.errors import UserError
from muse_core.slides import ImageChoice, open_slide


@pytest.mark.parametrize(("suffix", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("JPEG", "JPEG")])
def test_formats(tmp_path: Path, picture: np.ndarray, suffix: str, kind: str) -> None:
    path = tmp_path / f"p.{suffix}"
    # 1,000 dots per mm would be 1 um, but these formats' density is never a scale.
    Image.fromarray(picture).save(path, dpi=(25400, 25400))
    with open_slide(path) as slide:
        assert slide.format == kind
        assert slide.mpp is None
        assert slide.downsamples == (1.0,)
        assert np.array_equal(slide.read(slide.bounds), np.asarray(Image.open(path)))
        assert np.array_equal(slide.levels[0].compute(), np.asarray(Image.open(path)))


def test_content_counts_not_the_ending(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "really-a-png.jpg"
    Image.fromarray(picture).save(path, format="PNG")
    with open_slide(path) as slide:
        assert slide.format == "PNG"
        assert np.array_equal(slide.read(slide.bounds), picture)


def test_transparent_is_white_and_gray_becomes_rgb(tmp_path: Path, picture: np.ndarray) -> None:
    rgba = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    rgba[:100, :, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        read = slide.read(slide.bounds)
        assert (read[:100] == 255).all()
        assert np.array_equal(read[100:], picture[100:])
    Image.fromarray(picture[:, :, 1]).save(tmp_path / "g.png")
    with open_slide(tmp_path / "g.png") as slide:
        assert np.array_equal(slide.read(slide.bounds), np.repeat(picture[:, :, 1:2], 3, axis=2))


def test_deep_gray_is_scaled_and_said(tmp_path: Path, picture: np.ndarray) -> None:
    gray = picture[:, :, 0]
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    with open_slide(tmp_path / "deep.png") as slide:
        assert np.array_equal(slide.read(slide.bounds), np.repeat(gray[:, :, None], 3, axis=2))
        assert slide.notes == ("Its 16-bit pixels are taken as 8-bit ones, with 65535 as white.",)


@pytest.mark.parametrize("suffix", ["png", "jp2", "j2k"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize(("factor", "white"), [(257, 65535), (16, 4095), (4, 1023)])
def test_deep_colours_are_scaled_and_said(
    tmp_path: Path, picture: np.ndarray, suffix: str, alpha: bool, factor: int, white: int
) -> None:
    deep = picture.astype(np.uint16) * factor
    if alpha:
        deep = np.dstack([deep, np.full(deep.shape[:2], 65535, np.uint16)])
        deep[:50, :, 3] = 0
    encode: dict[str, Any] = {
        "png": imagecodecs.png_encode,
        "jp2": partial(imagecodecs.jpeg2k_encode, level=0, codecformat="jp2"),
        "j2k": partial(imagecodecs.jpeg2k_encode, level=0, codecformat="j2k"),
    }
    path = tmp_path / f"deep.{suffix}"
    path.write_bytes(encode[suffix](deep))
    with open_slide(path) as slide:
        read = slide.read(slide.bounds).astype(int)
        assert f"with {white} as white" in slide.notes[0]
    assert np.abs(read[50:] - picture[50:]).max() <= 2
    assert (read[:50] == 255).all() == alpha


def test_print_colours_are_converted_and_said(tmp_path: Path, picture: np.ndarray) -> None:
    printed = Image.fromarray(picture).convert("CMYK")
    printed.save(tmp_path / "cmyk.jpg", quality=100, subsampling=0)
    with open_slide(tmp_path / "cmyk.jpg") as slide:
        read = slide.read(slide.bounds)
        assert slide.notes == ("Its CMYK colours were converted without their profile.",)
    assert np.abs(read.astype(int) - picture).mean() < 2


LOSSLESS: dict[str, dict[str, Any]] = {"webp": {"lossless": True}}


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_flat_image_is_the_first_thing_that_is_opened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (70, 70), "white").save(path)
    code = f"from muse_core.slides import open_slide; print(open_slide({str(path)!r}).width)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "70"


@pytest.mark.parametrize("suffix", ["webp", "bmp", "jp2", "gif", "avif", "jxl"])
def test_other_flat_images(tmp_path: Path, picture: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"flat.{suffix}"
    if suffix == "jxl":
        path.write_bytes(imagecodecs.jpegxl_encode(picture, lossless=True))
    elif suffix == "gif":
        Image.fromarray(picture).quantize(256).save(path)
    elif suffix in ("webp", "jp2"):
        Image.fromarray(picture).save(path, **LOSSLESS.get(suffix, {}))
    else:
        Image.fromarray(picture).save(path)
    with open_slide(path) as slide:
        read = slide.read(slide.bounds)
        assert slide.mpp is None
    assert np.abs(read.astype(int) - picture).mean() < (8 if suffix in ("gif", "avif") else 1e-9)


@pytest.mark.parametrize("suffix", ["png", "webp", "jxl"])
def test_transparent_is_white_in_flat_images(
    tmp_path: Path, picture: np.ndarray, suffix: str
) -> None:
    rgba = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    rgba[:, :300] = 0
    path = tmp_path / f"clear.{suffix}"
    if suffix == "jxl":
        path.write_bytes(imagecodecs.jpegxl_encode(rgba, lossless=True))
    else:
        Image.fromarray(rgba).save(path, **LOSSLESS.get(suffix, {}))
    with open_slide(path) as slide:
        read = slide.read(slide.bounds)
    assert (read[:, :300] == 255).all()
    assert np.array_equal(read[:, 300:], picture[:, 300:])


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_damaged_jpeg_xl(tmp_path: Path, picture: np.ndarray, share: float) -> None:
    data = bytes(imagecodecs.jpegxl_encode(picture))
    path = tmp_path / "bad.jxl"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"bad.jxl"):
        open_slide(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.scan", "a"])
def test_the_content_counts_and_not_the_name(
    tmp_path: Path, picture: np.ndarray, name: str
) -> None:
    path = tmp_path / name
    tifffile.imwrite(path, picture, photometric="rgb", metadata=None)
    with open_slide(path) as slide:
        assert slide.format == "TIFF"
    (tmp_path / "b.tif").write_bytes(b"")
    Image.fromarray(picture).save(tmp_path / "b.tif", "PNG")
    with open_slide(tmp_path / "b.tif") as slide:
        assert slide.format == "PNG"
        assert np.array_equal(slide.read(slide.bounds), picture)


@pytest.mark.parametrize("side", [13_000, 20_000, 1_000_000])
def test_decompression_bombs_are_refused_by_their_header(tmp_path: Path, side: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", side, side * 2, 8, 2, 0, 0, 0)
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(UserError, match=r"bomb.png is larger than 178 megapixels"):
        open_slide(bomb)


def test_the_chosen_picture_of_a_deep_animation_is_read(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    def pixels(value: int) -> bytes:
        return zlib.compress(
            b"".join(b"\0" + np.full(3 * 9, value, ">u2").tobytes() for _ in "xxxx")
        )

    def control(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 9, 4, 0, 0, 1, 10, 0, 0))

    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 4, 16, 2, 0, 0, 0))
        + chunk(b"acTL", struct.pack(">II", 2, 0))
        + control(0) + chunk(b"IDAT", pixels(100 * 257))
        + control(1) + chunk(b"fdAT", struct.pack(">I", 2) + pixels(200 * 257))
        + chunk(b"IEND", b"")
    )  # fmt: skip
    for number, value in ((1, 100), (2, 200)):
        with open_slide(tmp_path / "a.png", choice=ImageChoice(number)) as slide:
            assert (slide.read(slide.bounds) == value).all()
