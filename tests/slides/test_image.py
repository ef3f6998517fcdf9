from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from muse_core.errors import UserError
from muse_core.slides import open_slide


@pytest.mark.parametrize(("suffix", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("JPEG", "JPEG")])
def test_formats(tmp_path, picture, suffix, kind):
    path = tmp_path / f"p.{suffix}"
    # 1,000 dots per mm would be 1 um, but these formats' density is never a scale.
    Image.fromarray(picture).save(path, dpi=(25400, 25400))
    with open_slide(path) as slide:
        assert slide.format == kind
        assert slide.mpp is None
        assert slide.downsamples == (1.0,)
        assert np.array_equal(slide.read(slide.bounds), np.asarray(Image.open(path)))
        assert np.array_equal(slide.levels[0].compute(), np.asarray(Image.open(path)))


def test_content_counts_not_the_ending(tmp_path, picture):
    path = tmp_path / "really-a-png.jpg"
    Image.fromarray(picture).save(path, format="PNG")
    with open_slide(path) as slide:
        assert slide.format == "PNG"
        assert np.array_equal(slide.read(slide.bounds), picture)


def test_transparent_is_white_and_gray_becomes_rgb(tmp_path, picture):
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


def test_deep_pixels_and_print_colours_are_refused(tmp_path, picture):
    Image.fromarray(picture[:, :, 0].astype(np.uint16) * 200).save(tmp_path / "deep.png")
    with pytest.raises(UserError, match=r"deep.png is no 8-bit"):
        open_slide(tmp_path / "deep.png")
    Image.fromarray(picture).convert("CMYK").save(tmp_path / "cmyk.jpg")
    with pytest.raises(UserError, match=r"cmyk.jpg is no 8-bit"):
        open_slide(tmp_path / "cmyk.jpg")


@pytest.mark.parametrize("side", [13_000, 20_000, 1_000_000])
def test_decompression_bombs_are_refused_by_their_header(tmp_path, side):
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
