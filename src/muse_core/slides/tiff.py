"""TIFF of all kinds that tifffile reads: SVS, NDPI, SCN, OME-TIFF, Philips, generic pyramids."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from muse_core.errors import UserError
from muse_core.slides.aperio_ycbcr import APERIO_YCBCR, decodes_to_ycbcr, rgb_from_ycbcr
from muse_core.slides.channels import check_channels, ome_channel_names
from muse_core.slides.claimed_size import CLAIMED_PX
from muse_core.slides.level import ArrayLevel, Level, check_size
from muse_core.slides.ome_files import spans_files
from muse_core.slides.pixels import Colours, Samples
from muse_core.slides.sampled_level import MappedLevel, SampledLevel, settle_intensity
from muse_core.slides.slide import SlideSource, pyramid
from muse_core.slides.tiff_mpp import tiff_mpp
from muse_core.slides.tiff_samples import tiff_samples

_SEGMENT_SLACK = 2
"""Writers may round a tile or strip up, never to more than this many times its size."""
_RGB = Samples(Colours.RGB)
_FORMATS = (
    ("is_svs", "Aperio SVS"),
    ("is_ndpi", "Hamamatsu NDPI"),
    ("is_scn", "Leica SCN"),
    ("is_philips", "Philips TIFF"),
    ("is_ome", "OME-TIFF"),
)


def open_tiff(path: Path) -> SlideSource:
    """Open a TIFF; only its directories are read.

    The largest image is the slide, others are named as associated images.

    Raises:
        UserError: The file is no TIFF, truncated, or not 8-bit RGB or gray.
    """
    try:
        # Else tifffile opens whatever files the metadata name, anywhere.
        tif = tifffile.TiffFile(path, _multifile=False)
    except Exception as error:
        # Beside TiffFileError, damaged headers raise struct.error, ValueError and more.
        raise UserError(f"{path.name} is not a readable TIFF file.") from error
    try:
        return _open(tif, path)
    except UserError:
        tif.close()
        raise
    except Exception as error:
        tif.close()
        raise UserError(f"{path.name} is a damaged or unsupported TIFF file.") from error


def _open(tif: tifffile.TiffFile, path: Path) -> SlideSource:
    if not _chain_ends(tif):
        raise _truncated(path.name)
    if spans_files(tif.ome_metadata or ""):
        raise _in_several_files(path.name)
    every = [series for series in tif.series if series.size]
    if not every:
        raise UserError(f"{path.name} holds no image.")
    series = max(every, key=_area)
    lock = threading.Lock()
    levels: list[Level] = [_level(tif, level, path.name, lock) for level in series.levels]
    kept, downsamples = pyramid(levels)
    notes = settle_intensity(kept)
    mpp, note = tiff_mpp(tif, series)
    kind = next((name for flag, name in _FORMATS if getattr(tif, flag)), None)
    return SlideSource(
        path,
        kind or ("TIFF pyramid" if len(kept) > 1 else "TIFF"),
        kept,
        downsamples,
        mpp,
        note,
        tuple(str(s.name).lower() for s in every if s is not series and s.name),
        tif.close,
        notes,
    )


def _chain_ends(tif: tifffile.TiffFile) -> bool:
    """Whether the last page that was found says that it is the last.

    tifffile passes over pages beyond the end of a truncated file, so levels would be missing.
    """
    position = tif.pages.next_page_offset
    if position is None:
        return False
    tif.filehandle.seek(position)
    raw = tif.filehandle.read(tif.tiff.offsetsize)
    return len(raw) == tif.tiff.offsetsize and not any(raw)


def _area(series: Any) -> int:
    return int(series.keyframe.imagewidth) * int(series.keyframe.imagelength)


def _level(tif: tifffile.TiffFile, series: Any, name: str, lock: threading.Lock) -> Level:
    pages = _planes(tif, series, name)
    page = series.keyframe
    _check_compression(page, name)
    if page.compression == 1 and page.is_memmappable and page.fillorder == 1 and len(pages) == 1:
        mapped = _mapped(tif, page, name)
        if mapped is not None:
            return mapped
    return TiffLevel(tif, pages, name, lock)


def _planes(tif: tifffile.TiffFile, series: Any, name: str) -> list[Any]:
    """The one page of a level, or the three of an image that keeps its channels apart."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    stacked = {a: n for a, n in sizes.items() if a not in "YXSC" and n > 1}
    if stacked:
        axes = ", ".join(f"{a} {n}" for a, n in stacked.items())
        raise UserError(f"{name} is a stack ({axes}); only single 2-D images can be read.")
    channels = sizes.get("C", 1)
    check_channels(channels, ome_channel_names(tif.ome_metadata or ""), name)
    pages = list(series.pages)
    if len(pages) != channels or any(page is None for page in pages):
        raise UserError(
            f"{name} is damaged: {channels} image plane(s) expected, {len(pages)} found."
        )
    if any(page.parent is not tif for page in pages):
        # Micro-Manager's stacks go on in neighbouring files.
        raise _in_several_files(name)
    if channels == 3 and series.keyframe.samplesperpixel != 1:
        raise UserError(f"{name} holds three RGB images in one; only single images can be read.")
    return pages


def _check_compression(page: Any, name: str) -> None:
    if page.compression not in CLAIMED_PX:
        kind = getattr(page.compression, "name", page.compression)
        raise UserError(
            f"{name} is compressed with {kind}, which cannot be read; "
            "save it with JPEG, JPEG 2000 or Deflate."
        )


def _mapped(tif: tifffile.TiffFile, page: Any, name: str) -> Level | None:
    """Uncompressed pixels in one run, mapped: strips as large as the image then cost nothing."""
    shape = tuple(page.shape)
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or page.planarconfig != 1:
        return None
    check_size(name, shape[0], shape[1])
    samples = tiff_samples(page, name)
    offset = int(page.dataoffsets[0])
    if offset + page.nbytes > tif.filehandle.size:
        raise _truncated(name)
    stored = page.dtype.newbyteorder(tif.byteorder)
    pixels = np.memmap(tif.filehandle.path, stored, "r", offset, shape)
    if samples.colours is Colours.RGB and shape[2] == 3 and page.dtype == np.uint8:
        return ArrayLevel(name, pixels)
    return MappedLevel(name, pixels, samples)


def _truncated(name: str) -> UserError:
    return UserError(f"{name} is truncated: it is shorter than its directory says.")


def _in_several_files(name: str) -> UserError:
    return UserError(f"{name} keeps its image in several files; save it as one.")


class TiffLevel(SampledLevel):
    """Tiles or strips of one page, or of three pages that hold one channel each.

    Reads segments directly and decodes them with tifffile's decoder, which lets go of the
    interpreter lock; fields of 512 px come 2.5 times faster than through tifffile's zarr store.
    """

    def __init__(
        self, tif: tifffile.TiffFile, pages: Sequence[Any], name: str, lock: threading.Lock
    ) -> None:
        page = pages[0].keyframe
        height, width = int(page.imagelength), int(page.imagewidth)
        tile_h, tile_w = (page.tilelength, page.tilewidth) if page.is_tiled else (0, 0)
        if not page.is_tiled:
            tile_h, tile_w = min(int(page.rowsperstrip), height), width
        samples = _RGB if len(pages) > 1 else tiff_samples(page, name)
        super().__init__(name, height, width, int(tile_h), int(tile_w), samples, page.dtype)
        self._rows, self._cols = -(-height // int(tile_h)), -(-width // int(tile_w))
        self._segment_px = int(tile_h) * int(tile_w)
        self._claimed_px = CLAIMED_PX[page.compression]
        self._file, self._lock, self._page = tif.filehandle, lock, page
        per_page = self._rows * self._cols
        planes = page.samplesperpixel if page.planarconfig == 2 else 1
        # (offset, byte count, index, page) of each channel's first segment, then in raster order.
        self._planes: list[tuple[np.ndarray, np.ndarray, int, Any]] = []
        for one in pages:
            offsets = np.asarray(one.dataoffsets, np.int64)
            counts = np.asarray(one.databytecounts, np.int64)
            self._check_segments(offsets, counts, per_page * planes)
            for plane in range(planes):
                self._planes.append((offsets, counts, plane * per_page, one))
        _ = page.decode  # made here, once, rather than by several threads at a time

    def _check_segments(self, offsets: np.ndarray, counts: np.ndarray, expected: int) -> None:
        if len(offsets) != expected or len(counts) != expected:
            raise UserError(
                f"{self.name} is damaged: {expected} tiles expected, {len(offsets)} listed."
            )
        if (offsets < 0).any() or (counts < 0).any():
            raise UserError(f"{self.name} is damaged: a tile has no valid place in the file.")
        if int((offsets + counts).max()) > self._file.size:
            raise _truncated(self.name)

    def _stored(self, row: int, col: int) -> np.ndarray | None:
        index = row * self._cols + col
        channels = [self._segment(*plane, index) for plane in self._planes]
        found = [c for c in channels if c is not None]
        if not found:
            return None
        if len(found) < len(channels):
            raise ValueError("a channel is missing")
        return found[0] if len(found) == 1 else np.concatenate(found, axis=2)

    def _segment(
        self, offsets: np.ndarray, counts: np.ndarray, first: int, page: Any, index: int
    ) -> np.ndarray | None:
        """Samples of a tile or strip, or None where it is left out."""
        index += first
        count = int(counts[index])
        if count == 0:
            return None
        with self._lock:
            if self._file.closed:
                raise UserError(f"{self.name} has been closed.")
            self._file.seek(int(offsets[index]))
            data = self._file.read(count)
        if len(data) != count:
            raise _truncated(self.name)
        options = {}
        if page.jpegtables is not None:
            options["jpegtables"] = page.jpegtables
        if self._page.jpegheader is not None:
            options["jpegheader"] = self._page.jpegheader
        # A JPEG that NDPI cuts into pieces has its header apart.
        if self._claimed_px(self._page.jpegheader or data) > _SEGMENT_SLACK * self._segment_px:
            raise ValueError("a tile claims to be larger than it may be")
        decoded = self._page.decode(data, index, **options)[0]
        if decoded is None:
            raise ValueError("empty segment")
        pixels = np.asarray(decoded[0])
        if self._page.compression == APERIO_YCBCR and decodes_to_ycbcr(data):
            return rgb_from_ycbcr(pixels)
        return pixels
