"""Slides of every format that is read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from muse_core.slides import open_slide
from muse_core.slides.info import slide_info

from ..slides.slide_files import (
    write_mrxs,
    write_ndpi,
    write_ome_tiff,
    write_ome_zarr,
    write_pyramid_tiff,
    write_scn,
)
from .target import Target

Rgb = npt.NDArray[np.uint8]
_APERIO = (
    "Aperio Image Library v11.2.1\r\n256x192 [0,0 256x192] (128x128) JPEG/RGB Q=30"
    "|AppMag = 20|MPP = 0.4990|Left = 25.69|Filename = CMU-1"
)


def read_slide(path: Path) -> None:
    """Open a slide and read all of its pixels, its description and its tissue."""
    with open_slide(path) as slide:
        for level in slide.levels:
            # A slide that claims to be large is read in part, as by the viewer.
            np.asarray(level[:1024, :1024])
        slide_info(slide)


def picture() -> Rgb:
    """A pattern of 192 x 256 px."""
    y, x = np.mgrid[:192, :256]
    rgb = np.stack([200 + 20 * np.sin(x / 9), 120 + y / 4, 150 + 30 * np.cos(y / 7)], axis=2)
    result: Rgb = np.clip(rgb, 0, 255).astype(np.uint8)
    return result


def halves(n: int = 2, image: Rgb | None = None) -> list[Rgb]:
    """An image and its downsampled copies."""
    image = picture() if image is None else image
    return [np.ascontiguousarray(image[:: 2**k, :: 2**k]) for k in range(n)]


def _svs(folder: Path) -> Path:
    path = folder / "s.svs"
    with tifffile.TiffWriter(path) as tif:
        for i, level in enumerate(halves()):
            tif.write(
                level, tile=(128, 128), photometric="rgb", compression="jpeg", metadata=None,
                description=_APERIO, subfiletype=1 if i else 0,
            )  # fmt: skip
    return path


def _tiff(name: str = "s.tif", image: npt.NDArray[Any] | None = None, **options: Any) -> Any:
    def make(folder: Path) -> Path:
        given: dict[str, Any] = {
            "photometric": "rgb",
            "resolution": (20000, 20000),
            "resolutionunit": 3,
        }
        pixels = picture() if image is None else image
        tifffile.imwrite(folder / name, pixels, metadata=None, **(given | options))
        return folder / name

    return make


def _pyramid(**options: Any) -> Callable[[Path], Path]:
    return lambda folder: write_pyramid_tiff(folder / "s.tif", halves(), **options)


def _flat(name: str, mode: str = "RGB") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        Image.fromarray(picture()[:96, :128]).convert(mode).save(folder / name)
        return folder / name

    return make


def _jpegxl(folder: Path) -> Path:
    import imagecodecs

    (folder / "s.jxl").write_bytes(imagecodecs.jpegxl_encode(picture()[:96, :128]))
    return folder / "s.jxl"


def _mrxs(folder: Path) -> Path:
    image = np.ascontiguousarray(np.tile(picture(), (3, 2, 1))[:512, :512])
    return write_mrxs(folder / "s.mrxs", halves(2, image), (10, 12), 0.5)


def _zarr(**options: Any) -> Callable[[Path], Path]:
    return lambda folder: write_ome_zarr(folder / "s.zarr", halves(), **options)


def _zip(folder: Path) -> Path:
    write_ome_zarr(folder / "in.zarr", halves())
    shutil.make_archive(str(folder / "s.zarr"), "zip", folder / "in.zarr")
    shutil.rmtree(folder / "in.zarr")
    return folder / "s.zarr.zip"


_TILES: dict[str, Any] = {"tile": (64, 64)}
_WIDE = picture().astype(np.uint16) * 200
_FOUR = np.dstack([picture(), picture()[:, :, :1]])
_MAKERS: dict[str, Callable[[Path], Path]] = {
    "svs": _svs,
    "tiff": _pyramid(compression="jpeg"),
    "tiff-none": _tiff(rowsperstrip=16),
    "tiff-lzw": _tiff(compression="lzw", predictor=True, rowsperstrip=16),
    "tiff-deflate": _tiff(compression="zlib", **_TILES),
    "tiff-zstd": _tiff(compression="zstd", **_TILES),
    "tiff-packbits": _tiff(compression="packbits", rowsperstrip=16),
    "tiff-lzma": _tiff(compression="lzma", **_TILES),
    "tiff-jpeg2000": _tiff(compression="jpeg2000", **_TILES),
    "tiff-webp": _tiff(compression="webp", **_TILES),
    "tiff-jpegxl": _tiff(compression="jpegxl", **_TILES),
    "tiff-jpegxr": _tiff(compression="jpegxr", **_TILES),
    "tiff-png": _tiff(compression="png", **_TILES),
    "tiff-big": _tiff("s.btf", bigtiff=True, compression="zlib", **_TILES),
    "tiff-16": _tiff(image=_WIDE, compression="zlib", **_TILES),
    "tiff-float": _tiff(image=(picture() / 255).astype(np.float32), **_TILES),
    "tiff-rgba": _tiff(image=_FOUR, extrasamples=["unassalpha"], **_TILES),
    "tiff-cmyk": _tiff(image=_FOUR, photometric="separated", **_TILES),
    "tiff-gray": _tiff(image=picture()[:, :, 0], photometric="minisblack", **_TILES),
    "tiff-palette": _tiff(
        image=picture()[:, :, 0],
        photometric="palette",
        colormap=np.arange(768, dtype=np.uint16).reshape(3, 256) * 85,
    ),
    "tiff-planes": _tiff(
        image=np.ascontiguousarray(np.moveaxis(picture(), 2, 0)), planarconfig="separate", **_TILES
    ),
    "ome-tiff": lambda folder: write_ome_tiff(
        folder / "s.ome.tif", halves(), PhysicalSizeX=0.5, PhysicalSizeY=0.5
    ),
    "scn": lambda folder: write_scn(folder / "s.scn", halves(), picture()[::4, ::4], 0.5),
    "ndpi": lambda folder: write_ndpi(folder / "s.ndpi", halves(), 0.5),
    "mrxs": _mrxs,
    "ome-zarr-0.4": _zarr(),
    "ome-zarr-0.5": _zarr(version="0.5"),
    "ome-zarr-zip": _zip,
    "png": _flat("s.png"),
    "png-rgba": _flat("s.png", "RGBA"),
    "png-palette": _flat("s.png", "P"),
    "jpeg": _flat("s.jpg"),
    "jpeg-cmyk": _flat("s.jpg", "CMYK"),
    "webp": _flat("s.webp"),
    "bmp": _flat("s.bmp"),
    "gif": _flat("s.gif", "P"),
    "jp2": _flat("s.jp2"),
    "avif": _flat("s.avif"),
    "jxl": _jpegxl,
}
# OpenSlide renders the whole, mostly empty, slide of an MRXS: a hundred times as long.
TARGETS = {
    name: Target(make, read_slide, share=1 if name == "mrxs" else 4)
    for name, make in _MAKERS.items()
}
