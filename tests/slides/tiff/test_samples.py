"""Transparency, 16-bit pixels, palettes and inks in TIFF, at every level and in every layout."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from muse_core.errors import UserError
from muse_core.slides import ImageChoice, open_slide

from ..slide_files import write_ome_tiff, write_pyramid_tiff

LAYOUTS: dict[str, dict[str, Any]] = {
    "tiled": {"tile": (128, 128), "compression": "zlib"},
    "strips": {"rowsperstrip": 100, "compression": "lzw"},
    "raw": {},
    "raw-tiled": {"tile": (128, 128)},
    "big-endian": {"byteorder": ">"},
}


def read(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.read(slide.bounds)


def write(path: Path, pixels: np.ndarray, layout: str = "tiled", **options: Any) -> Path:
    tifffile.imwrite(path, pixels, metadata=None, **LAYOUTS[layout], **options)
    return path


def transparent(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """RGBA: a third glass of transparent black, a third half transparent; and it on white."""
    alpha = np.full(rgb.shape[:2], 255, np.uint8)
    third = rgb.shape[1] // 3
    alpha[:, :third], alpha[:, third : 2 * third] = 0, 128
    rgba = np.dstack([rgb, alpha])
    rgba[:, :third] = 0
    share = alpha[:, :, None] / 255
    white = np.rint(rgba[:, :, :3] * share + 255 * (1 - share)).astype(np.uint8)
    return rgba, white


@pytest.mark.parametrize("layout", LAYOUTS)
def test_transparent_is_white(tmp_path: Path, picture: np.ndarray, layout: Any) -> None:
    rgba, white = transparent(picture)
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    found = read(write(tmp_path / "a.tif", rgba, layout, **options))
    assert np.abs(found.astype(int) - white).max() <= 1
    assert (found[:, : picture.shape[1] // 3] == 255).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_associated_alpha(tmp_path: Path, picture: np.ndarray, layout: Any) -> None:
    rgba, white = transparent(picture)
    rgba[:, :, :3] = np.rint(rgba[:, :, :3] * (rgba[:, :, 3:] / 255))
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    found = read(write(tmp_path / "a.tif", rgba, layout, **options))
    assert np.abs(found.astype(int) - white).max() <= 1


def test_alpha_nobody_has_named(tmp_path: Path, picture: np.ndarray) -> None:
    rgba, white = transparent(picture)
    path = write(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unspecified"])
    assert np.abs(read(path).astype(int) - white).max() <= 1


def test_alpha_in_a_plane_of_its_own(tmp_path: Path, picture: np.ndarray) -> None:
    rgba, white = transparent(picture)
    planes = np.ascontiguousarray(rgba.transpose(2, 0, 1))
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    path = write(tmp_path / "p.tif", planes, planarconfig="separate", **options)
    assert np.abs(read(path).astype(int) - white).max() <= 1


def test_gray_with_alpha(tmp_path: Path, picture: np.ndarray) -> None:
    rgba, _ = transparent(picture)
    gray = np.ascontiguousarray(rgba[:, :, [0, 3]])
    options: dict[str, Any] = {"photometric": "minisblack", "extrasamples": ["unassalpha"]}
    found = read(write(tmp_path / "g.tif", gray, planarconfig="contig", **options))
    share = gray[:, :, 1] / 255
    white = np.rint(gray[:, :, 0] * share + 255 * (1 - share))
    assert np.abs(found.astype(int) - white[:, :, None]).max() <= 1


@pytest.mark.parametrize("kind", ["pages", "subifds"])
def test_transparent_is_white_at_every_level(
    tmp_path: Path, halves: list[np.ndarray], kind: str
) -> None:
    both = [transparent(level) for level in halves]
    levels = [rgba for rgba, _ in both]
    if kind == "pages":
        path = write_pyramid_tiff(tmp_path / "p.tif", levels, extrasamples=["unassalpha"])
    else:
        path = write_ome_tiff(tmp_path / "p.ome.tif", levels)
    with open_slide(path) as slide:
        assert len(slide.levels) == len(halves)
        for level, (_, white) in zip(slide.levels, both, strict=True):
            assert np.abs(level.compute().astype(int) - white).max() <= 1


@pytest.mark.parametrize(("factor", "highest"), [(257, 65535), (16, 4095), (1, 255), (4, 1023)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_16_bits(
    tmp_path: Path, picture: np.ndarray, layout: Any, factor: int, highest: int
) -> None:
    path = write(tmp_path / "d.tif", picture.astype("u2") * factor, layout, photometric="rgb")
    with open_slide(path) as slide:
        found = slide.read(slide.bounds)
        assert slide.notes == (
            f"Its 16-bit pixels are taken as 8-bit ones, with {highest} as white.",
        )
    assert np.abs(found.astype(int) - picture).max() <= 1


def test_16_bits_are_the_same_at_every_level(tmp_path: Path, halves: list[np.ndarray]) -> None:
    deep = [level.astype("u2") * 16 for level in halves]
    with open_slide(write_pyramid_tiff(tmp_path / "d.tif", deep)) as slide:
        for level, stored in zip(slide.levels, halves, strict=True):
            assert np.abs(level.compute().astype(int) - stored).max() <= 1


def test_16_bits_with_alpha(tmp_path: Path, picture: np.ndarray) -> None:
    rgba, white = transparent(picture)
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    path = write(tmp_path / "d.tif", rgba.astype("u2") * 257, **options)
    assert np.abs(read(path).astype(int) - white).max() <= 1


@pytest.mark.parametrize("factors", [(16, 257), (257, 1), (1, 1), (16, 16)])
def test_alpha_fills_a_range_of_its_own(
    tmp_path: Path, picture: np.ndarray, factors: tuple[int, int]
) -> None:
    rgba, white = transparent(picture)
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    wide = rgba.astype("u2") * np.array([*3 * [factors[0]], factors[1]], "u2")
    found = read(write(tmp_path / "d.tif", wide, **options))
    assert np.abs(found.astype(int) - white).max() <= 1


@pytest.mark.parametrize("spelled", ["rgb", "RGB", "rgba", "1,2,3", "1,2,3,4"])
@pytest.mark.parametrize("kind", ["unassalpha", "unspecified", "pages"])
def test_glass_is_white_however_the_channels_are_asked_for(
    tmp_path: Path, picture: np.ndarray, spelled: str, kind: str
) -> None:
    rgba, white = transparent(picture)
    path = tmp_path / "a.ome.tif"
    if kind == "pages":
        planes, axes = np.ascontiguousarray(rgba.transpose(2, 0, 1)), {"axes": "CYX"}
        tifffile.imwrite(path, planes, photometric="minisblack", metadata=axes, ome=True)
    else:
        write(path, rgba, photometric="rgb", extrasamples=[kind])
    with open_slide(path, choice=ImageChoice(channels=spelled)) as slide:
        assert np.abs(slide.read(slide.bounds).astype(int) - white).max() <= 1


def test_hidden_colours_stay_hidden_in_tiles_without_anything_else(
    tmp_path: Path, picture: np.ndarray
) -> None:
    rgba = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    rgba[:128, :128, 3] = 0
    path = write(tmp_path / "h.tif", rgba, photometric="rgb", extrasamples=["unspecified"])
    found = read(path)
    assert (found[:128, :128] == 255).all()
    assert np.array_equal(found[128:], picture[128:])


@pytest.mark.parametrize(("factor", "highest"), [(1 / 255, 1), (1, 255)])
def test_floating_point(tmp_path: Path, picture: np.ndarray, factor: int, highest: int) -> None:
    pixels = picture.astype("f4") * np.float32(factor)
    pixels[0, 0] = np.nan
    path = write(tmp_path / "f.tif", pixels, photometric="rgb")
    with open_slide(path) as slide:
        found = slide.read(slide.bounds)
        (note,) = slide.notes
    assert (
        note
        == f"Its 32-bit floating point pixels are taken as 8-bit ones, with {highest} as white."
    )
    assert (found[0, 0] == 255).all()
    assert np.abs(found[1:].astype(int) - picture[1:]).max() <= 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("factor", [1, 257])
def test_a_palette(tmp_path: Path, layout: Any, factor: int) -> None:
    table = np.random.default_rng(0).integers(0, 256, (3, 256)).astype("u2")
    indices = np.random.default_rng(1).integers(0, 256, (300, 200)).astype("u1")
    path = write(
        tmp_path / "p.tif", indices, layout, photometric="palette", colormap=table * factor
    )
    assert np.array_equal(read(path), table.T.astype("u1")[indices])


def test_inks(tmp_path: Path, picture: np.ndarray) -> None:
    cmyk = np.dstack([255 - picture, np.zeros(picture.shape[:2], np.uint8)])
    assert np.array_equal(read(write(tmp_path / "c.tif", cmyk, photometric="separated")), picture)
    black = np.dstack([255 - picture, np.full(picture.shape[:2], 255, np.uint8)])
    assert not read(write(tmp_path / "k.tif", black, photometric="separated")).any()


def test_jpeg_xl_tiles(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "x.tif"
    options: dict[str, Any] = {"compression": "jpegxl", "compressionargs": {"lossless": True}}
    tifffile.imwrite(path, picture, tile=(128, 128), photometric="rgb", metadata=None, **options)
    assert np.array_equal(read(path), picture)


def test_two_channels_without_alpha_are_refused(tmp_path: Path, picture: np.ndarray) -> None:
    path = write(
        tmp_path / "t.tif",
        np.ascontiguousarray(picture[:, :, :2]),
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["unspecified"],
    )
    with pytest.raises(UserError, match=r"t.tif has 2 channels"):
        open_slide(path)


@pytest.mark.parametrize(
    ("tag", "sentence"),
    [
        (259, "is compressed with an unknown method, which cannot be read"),
        (262, "has unknown colours; only RGB, gray and CMYK can be read."),
    ],
)
def test_a_tag_of_which_a_damaged_file_has_many_values_is_said_in_a_word(
    tmp_path: Path, picture: np.ndarray, tag: int, sentence: str
) -> None:
    path = tmp_path / "d.tif"
    tifffile.imwrite(path, picture, photometric="rgb", metadata=None)
    whole = bytearray(path.read_bytes())
    entry = whole.index(struct.pack("<HHI", tag, 3, 1))
    struct.pack_into("<II", whole, entry + 4, 50, 8)
    path.write_bytes(whole)
    with pytest.raises(UserError, match=rf"^d\.tif {sentence}"):
        open_slide(path)


def test_a_qptiff_opens(tmp_path: Path, halves: list[np.ndarray]) -> None:
    path = write_pyramid_tiff(tmp_path / "q.qptiff", halves, software="PerkinElmer-QPI")
    with open_slide(path) as slide:
        assert np.array_equal(slide.levels[0].compute(), halves[0])


def ycbcr(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).convert("YCbCr"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_luma_and_chroma_that_no_decoder_converts(
    tmp_path: Path, picture: np.ndarray, layout: Any
) -> None:
    options: dict[str, Any] = {"photometric": "ycbcr", "subsampling": (1, 1)}
    found = read(write(tmp_path / "y.tif", ycbcr(picture), layout, **options))
    assert np.abs(found.astype(int) - picture).max() <= 3


def test_luma_and_chroma_of_16_bits_or_in_planes(tmp_path: Path, picture: np.ndarray) -> None:
    options: dict[str, Any] = {"photometric": "ycbcr", "subsampling": (1, 1)}
    deep = write(tmp_path / "d.tif", ycbcr(picture).astype(np.uint16) * 257, **options)
    assert np.abs(read(deep).astype(int) - picture).max() <= 3
    planes = np.ascontiguousarray(ycbcr(picture).transpose(2, 0, 1))
    apart = write(tmp_path / "p.tif", planes, planarconfig="separate", **options)
    assert np.abs(read(apart).astype(int) - picture).max() <= 3


@pytest.mark.parametrize("layout", ["raw", "strips"])
def test_chroma_of_fewer_pixels_is_refused(
    tmp_path: Path, picture: np.ndarray, layout: str
) -> None:
    path = write(
        tmp_path / "y.tif", ycbcr(picture), layout, photometric="ycbcr", subsampling=(1, 1)
    )
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[0].tags["YCbCrSubSampling"].overwrite((2, 2))
    with pytest.raises(UserError, match=r"y\.tif"):
        read(path)
