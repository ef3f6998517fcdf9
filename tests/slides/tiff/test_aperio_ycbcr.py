"""Aperio's JPEG 2000 in all the ways it stores colours, compared with known colours.

If OpenSlide is installed it reads the same files and must agree.
"""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from muse_core.slides import open_slide
from muse_core.slides.tiff.aperio_ycbcr import decodes_to_ycbcr

_SIZE, _CODING, _QUANTIZATION, _DATA = 0xFF51, 0xFF52, 0xFF5C, 0xFF93
_DESCRIPTION = "Aperio Image Library v10.0.50\r\n128x128 (128x128) J2K|AppMag = 20|MPP = 0.5"


@pytest.fixture
def colours() -> np.ndarray:
    """Squares of 8 px, so that chroma of half the size loses nothing."""
    squares = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return squares.repeat(8, axis=0).repeat(8, axis=1)


def to_ycbcr(rgb: np.ndarray) -> np.ndarray:
    """The formulas of JFIF, written out."""
    r, g, b = rgb.astype(float).transpose(2, 0, 1)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    planes = np.stack([y, 128 + (b - y) / 1.772, 128 + (r - y) / 1.402], axis=2)
    result: np.ndarray = np.clip(np.rint(planes), 0, 255).astype(np.uint8)
    return result


def encode(pixels: np.ndarray, transform: bool) -> bytes:
    encoded = imagecodecs.jpeg2k_encode(
        np.ascontiguousarray(pixels), codecformat="j2k", reversible=True, mct=transform
    )
    return bytes(encoded)


def segments(codestream: bytes | bytearray) -> dict[int, bytes | bytearray]:
    """Marker segments of the header, and the content after the data marker."""
    found: dict[int, bytes | bytearray] = {}
    at = 2
    while True:
        marker, length = struct.unpack_from(">HH", codestream, at)
        if marker == _DATA:
            return {**found, _DATA: codestream[at + 2 : -2]}
        found[marker] = codestream[at : at + 2 + length]
        at += 2 + length


def encode_half_chroma(ycbcr: np.ndarray, step_x: int, step_y: int) -> bytes:
    """One codestream from three grayscale ones: with one resolution each is a single packet."""
    planes = [ycbcr[:, :, 0], *(ycbcr[::step_y, ::step_x, i] for i in (1, 2))]
    parts = [
        segments(
            imagecodecs.jpeg2k_encode(
                np.ascontiguousarray(p), codecformat="j2k", reversible=True, resolutions=1
            )
        )
        for p in planes
    ]
    steps = bytes([7, 1, 1, 7, step_x, step_y, 7, step_x, step_y])
    size = b"\xff\x51" + struct.pack(">H", 47) + parts[0][_SIZE][4:38] + b"\x00\x03" + steps
    packets = b"".join(part[_DATA] for part in parts)
    tile = b"\xff\x90" + struct.pack(">HHIBB", 10, 0, 14 + len(packets), 0, 1)
    header = b"\xff\x4f" + size + parts[0][_CODING] + parts[0][_QUANTIZATION]
    return header + tile + b"\xff\x93" + packets + b"\xff\xd9"


def write_svs(path: Path, tile: bytes, compression: int) -> Path:
    tifffile.imwrite(
        path,
        iter([tile]),
        shape=(128, 128, 3),
        dtype="uint8",
        tile=(128, 128),
        photometric="rgb",
        compression=compression,
        description=_DESCRIPTION,
        metadata=None,
    )
    return path


@pytest.mark.parametrize("kind", ["ycbcr", "half width", "half both", "rgb"])
def test_colours_are_those_that_were_stored(tmp_path: Path, colours: np.ndarray, kind: str) -> None:
    ycbcr = to_ycbcr(colours)
    tile, compression = {
        "ycbcr": (encode(ycbcr, transform=False), 33003),
        "half width": (encode_half_chroma(ycbcr, 2, 1), 33003),
        "half both": (encode_half_chroma(ycbcr, 2, 2), 33003),
        "rgb": (encode(colours, transform=True), 33005),
    }[kind]
    path = write_svs(tmp_path / "a.svs", tile, compression)
    with open_slide(path) as slide:
        read = slide.read(slide.bounds)
    assert np.abs(read.astype(int) - colours).max() <= 2
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(path) as other:
        theirs = np.asarray(other.read_region((0, 0), 0, (128, 128)).convert("RGB"))
    assert np.abs(read.astype(int) - theirs).max() <= 2


def test_rgb_with_a_transform_stays_rgb_also_under_33003(
    tmp_path: Path, colours: np.ndarray
) -> None:
    path = write_svs(tmp_path / "a.svs", encode(colours, transform=True), 33003)
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(slide.bounds), colours)


def test_what_is_no_codestream_of_three_components_is_left_alone(colours: np.ndarray) -> None:
    assert decodes_to_ycbcr(encode(colours, transform=False))
    assert not decodes_to_ycbcr(encode(colours[:, :, 0], transform=False))
    assert not decodes_to_ycbcr(
        bytes(imagecodecs.jpeg2k_encode(colours, codecformat="jp2", mct=False))
    )
    assert not decodes_to_ycbcr(b"")
