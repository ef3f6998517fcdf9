"""TIFF of all kinds that tifffile reads: SVS, NDPI, SCN, OME-TIFF, Philips, generic pyramids."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from muse_core.errors import UserError
from muse_core.files.remote import RemoteFile, UnreachableError
from muse_core.slides.channels import ChannelPlan, plan_channels
from muse_core.slides.choice import ImageChoice
from muse_core.slides.claimed_size import CLAIMED_PX
from muse_core.slides.images import (
    DefaultChoice,
    largest_tissue,
    numbered,
    pick_image,
    pick_plane,
    plane_number,
    plane_zt,
    taken,
)
from muse_core.slides.level import ArrayLevel, Level, check_size
from muse_core.slides.ome_xml import spans_files
from muse_core.slides.orientation import TAG, orientation_note
from muse_core.slides.pixels import Colours, Samples, rgb_from_ycbcr
from muse_core.slides.raw_pixels import RawPixels
from muse_core.slides.reading_errors import truncated
from muse_core.slides.sampled_level import SampledLevel, UncompressedLevel, settle_samples
from muse_core.slides.slide import SlideSource, pyramid
from muse_core.slides.tiff.aperio_ycbcr import APERIO_YCBCR, decodes_to_ycbcr
from muse_core.slides.tiff.channels import tiff_channel_names
from muse_core.slides.tiff.half_jpeg import HalfLevel, JpegTiles
from muse_core.slides.tiff.images import (
    TiffImage,
    image_sizes,
    order_of_planes,
    plane_sizes,
    tiff_images,
)
from muse_core.slides.tiff.layout import layout_options
from muse_core.slides.tiff.mpp import is_aperio, tiff_mpp
from muse_core.slides.tiff.overlapping_tiles import require_mosaic
from muse_core.slides.tiff.pages import Pick, image_pages, outer_axes, virtual_planes
from muse_core.slides.tiff.samples import tag_name, tiff_samples

_SEGMENT_SLACK = 2
"""Writers may round a tile or strip up, never to more than this many times its size."""
_AS_IT_IS = ImageChoice()
_JPEG = (7, 33007)
_RGB, _YCBCR = tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR
_FORMATS = (
    (is_aperio, "Aperio SVS"),
    (attrgetter("is_ndpi"), "Hamamatsu NDPI"),
    (attrgetter("is_scn"), "Leica SCN"),
    (attrgetter("is_philips"), "Philips TIFF"),
    (attrgetter("is_ome"), "OME-TIFF"),
)


def open_tiff(path: Path, choice: ImageChoice = _AS_IT_IS) -> SlideSource:
    """Open a TIFF; reads its directories, and a few pixels if levels are not marked as such.

    By default the largest tissue image is the slide. Labels, thumbnails and the like are listed as
    associated images.

    Raises:
        OverlappingTilesError: Its tiles are no mosaic.
        UserError: The file is no TIFF, truncated, of pixels or colours that cannot be read, or
            there is nothing of what is chosen.
    """
    return _open_file(path, path, choice)


def open_remote_tiff(file: RemoteFile, choice: ImageChoice = _AS_IT_IS) -> SlideSource:
    """As :func:`open_tiff`, of a file on the network."""
    opened = _open_file(file, Path(file.name), choice)
    return replace(opened, address=file.address, close=file.close)


def _open_file(file: Any, path: Path, choice: ImageChoice) -> SlideSource:
    try:
        # Else tifffile opens whatever files the metadata name, anywhere.
        tif = tifffile.TiffFile(file, name=path.name, _multifile=False)
        opener, options = layout_options(tif)
        if options or opener is not tifffile.TiffFile:
            tif.close()  # which leaves a remote file open, but not at its beginning
            if isinstance(file, RemoteFile):
                file.seek(0)
            tif = opener(file, name=path.name, _multifile=False, **options)
    except UnreachableError:
        raise
    except Exception as error:
        # Beside TiffFileError, damaged headers raise struct.error, ValueError and more.
        raise UserError(f"{path.name} is not a readable TIFF file.") from error
    try:
        return _open(tif, path, choice)
    except UserError:
        tif.close()
        raise
    except Exception as error:
        tif.close()
        raise UserError(f"{path.name} is a damaged or unsupported TIFF file.") from error


def _open(tif: tifffile.TiffFile, path: Path, choice: ImageChoice) -> SlideSource:
    if not _chain_ends(tif):
        raise truncated(path.name)
    require_mosaic(tif, path.name)
    if spans_files(tif.ome_metadata or ""):
        raise _in_several_files(path.name)
    lock = threading.Lock()
    images = tiff_images(tif, lambda series: _level(tif, series, path.name, lock, _first(series)))
    if not images:
        raise UserError(f"{path.name} holds no image.")
    facts = numbered([image.facts for image in images])
    default = largest_tissue(facts)
    wanted = pick_image(facts, default, choice, path.name)
    image = images[facts.index(wanted)]
    finest = image.levels[0]
    stack = plane_sizes(finest)
    plane = pick_plane(stack, choice, path.name)
    pick = _pick(tif, image, plane, choice, path.name)
    levels: list[Level] = [_level(tif, level, path.name, lock, pick) for level in image.levels]
    if isinstance(levels[0], TiffLevel) and levels[0].is_empty:
        raise UserError(f"{path.name} is incomplete: it has metadata but no pixels.")
    kept, downsamples = pyramid(levels)
    notes = settle_samples(kept) + orientation_note(finest.keyframe.tags.valueof(TAG))
    mpp, note = tiff_mpp(tif, finest, image.which)
    kind = next((name for is_of, name in _FORMATS if is_of(tif)), None)
    middle = plane_number(stack, pick_plane(stack, ImageChoice(), path.name))
    usual = DefaultChoice(default, plane=middle)
    return SlideSource(
        path,
        kind or ("TIFF pyramid" if len(kept) > 1 else "TIFF"),
        kept,
        downsamples,
        mpp,
        note,
        tuple(i.name.lower() for i in facts if i.number is None and i.name),
        tif.close,
        (*((pick.channels.note,) if pick.channels.note else ()), *notes),
        taken(facts, plane_number(stack, plane), choice, path.name, usual),
        plane_zt=plane_zt(stack, plane),
    )


def _pick(
    tif: tifffile.TiffFile, image: TiffImage, plane: Sequence[int], choice: ImageChoice, name: str
) -> Pick:
    """Return the pages that are read for each level of an image."""
    series = image.levels[0]
    sizes = image_sizes(series)
    at = {
        axis: order_of_planes(series, axis)[i]
        for (axis, _), i in zip(plane_sizes(series), plane, strict=True)
    }
    rest = image.index
    for axis, n in reversed(sizes):
        rest, at[axis] = divmod(rest, n)
    apart = dict(zip(series.axes, series.shape, strict=True)).get("C", 1)
    page = series.keyframe
    if page.samplesperpixel > 1:
        # Their colours lie in one page, whatever the axes are called.
        choice.require_natural(page.samplesperpixel, name)
        if apart > 1 and series.axes.index("C") < len(series.axes) - len(page.shape):
            raise UserError(f"{name} holds {apart} RGB images in one; only one can be read.")
        return Pick(outer_axes(series, name), at, ChannelPlan((0,)))
    names = tiff_channel_names(tif, series, image.which) if apart > 1 else []
    plan = plan_channels(apart, names, name, choice, page.dtype == np.uint8)
    return Pick(outer_axes(series, name), at, plan)


def _first(series: Any) -> Pick:
    """The first image and plane of a series and one of its channels, to look at its pixels."""
    return Pick()


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


def _level(
    tif: tifffile.TiffFile, series: Any, name: str, lock: threading.Lock, pick: Pick
) -> Level:
    page = series.keyframe
    _check_compression(page, name)
    if series.is_truncated:
        planes = virtual_planes(tif, series, pick, name, lock)
        check_size(name, *planes.shape[:2])
        samples = _of_planes(page, pick.channels, name)
        return UncompressedLevel(name, planes, samples)
    pages = image_pages(series, pick, name)
    if any(p.parent is not tif for p in pages):
        # Micro-Manager's stacks go on in neighbouring files.
        raise _in_several_files(name)
    if page.compression == 1 and page.is_memmappable and page.fillorder == 1 and len(pages) == 1:
        raw = _raw(tif, page, int(pages[0].dataoffsets[0]), name, lock)
        if raw is not None:
            return raw
    return TiffLevel(tif, pages, name, lock, _of_planes(page, pick.channels, name))


def _of_planes(page: Any, plan: ChannelPlan, name: str) -> Samples:
    """How samples become colours, for a page of its own or for one page a channel."""
    own = tiff_samples(page, name)
    if len(plan.order) == 1:
        return own
    return replace(own, colours=Colours.RGB, alpha=plan.alpha, palette=None)


def _check_compression(page: Any, name: str) -> None:
    if page.compression not in CLAIMED_PX:
        kind = tag_name(page.compression, "an unknown method")
        raise UserError(
            f"{name} is compressed with {kind}, which cannot be read; "
            "save it with JPEG, JPEG 2000 or Deflate."
        )


def _raw(
    tif: tifffile.TiffFile, page: Any, offset: int, name: str, lock: threading.Lock
) -> Level | None:
    """Uncompressed, contiguous pixels at an offset, of the size and type of a page.

    So strips as large as the image are not read whole.
    """
    shape = tuple(page.shape)
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or page.planarconfig != 1:
        return None
    check_size(name, shape[0], shape[1])
    samples = tiff_samples(page, name)
    stored = page.dtype.newbyteorder(tif.byteorder)
    pixels = RawPixels(tif, lock, name, [offset], shape, stored)
    if samples.colours is Colours.RGB and shape[2] == 3 and page.dtype == np.uint8:
        return ArrayLevel(name, pixels)
    return UncompressedLevel(name, pixels, samples)


def _in_several_files(name: str) -> UserError:
    return UserError(f"{name} keeps its image in several files; save it as one.")


class TiffLevel(SampledLevel):
    """Tiles or strips of one page, or of pages that hold one channel each.

    Reads segments directly and decodes them with tifffile's decoder, which releases the GIL; fields
    of 512 px are read 2.5 times faster than through tifffile's zarr store.
    """

    def __init__(
        self,
        tif: tifffile.TiffFile,
        pages: Sequence[Any],
        name: str,
        lock: threading.Lock,
        samples: Samples,
    ) -> None:
        page = pages[0].keyframe
        height, width = int(page.imagelength), int(page.imagewidth)
        tile_h, tile_w = (page.tilelength, page.tilewidth) if page.is_tiled else (0, 0)
        if not page.is_tiled:
            tile_h, tile_w = min(int(page.rowsperstrip), height), width
        piece = int(tile_h), int(tile_w)
        super().__init__(name, (height, width), piece, samples=samples, stored_type=page.dtype)
        self._rows, self._cols = -(-height // int(tile_h)), -(-width // int(tile_w))
        self._segment_px = int(tile_h) * int(tile_w)
        self._claimed_px = CLAIMED_PX[page.compression]
        self._file, self._lock, self._page = tif.filehandle, lock, page
        raw = getattr(tif.filehandle, "_fh", None)
        self._remote = raw if isinstance(raw, RemoteFile) else None
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

    @property
    def is_empty(self) -> bool:
        """Whether all tiles are left out, as by a program that failed while it wrote the file."""
        return not any(counts.any() for _, counts, _, _ in self._planes)

    def _check_segments(self, offsets: np.ndarray, counts: np.ndarray, expected: int) -> None:
        if len(offsets) != expected or len(counts) != expected:
            raise UserError(
                f"{self.name} is damaged: {expected} tiles expected, {len(offsets)} listed."
            )
        if (offsets < 0).any() or (counts < 0).any():
            raise UserError(f"{self.name} is damaged: a tile has no valid place in the file.")
        if int((offsets + counts).max()) > self._file.size:
            raise truncated(self.name)

    def _stored(self, row: int, col: int) -> np.ndarray | None:
        index = row * self._cols + col
        channels = [self._segment(*plane, index) for plane in self._planes]
        found = [c for c in channels if c is not None]
        if not found:
            return None
        if len(found) < len(channels):
            raise ValueError("a channel is missing")
        return found[0] if len(found) == 1 else np.concatenate(found, axis=2)

    def _fetch(self, pieces: Iterable[tuple[int, int]]) -> None:
        if self._remote is None:
            return
        places = [
            (int(offsets[first + index]), int(counts[first + index]))
            for row, col in pieces
            for index in (row * self._cols + col,)
            for offsets, counts, first, _ in self._planes
        ]
        self._remote.fetch([place for place in places if place[1]])

    def _bytes(self, start: int, count: int) -> bytes:
        if self._remote is not None:
            return self._remote.fetch([(start, count)])[0]
        with self._lock:
            if self._file.closed:
                raise UserError(f"{self.name} has been closed.")
            self._file.seek(start)
            return bytes(self._file.read(count))

    def half(self) -> HalfLevel | None:
        """See :meth:`Level.half`; for tiles of colour JPEG."""
        tiles = self._jpeg_tiles()
        return HalfLevel(self, tiles) if tiles is not None and tiles.can_be_halved else None

    def _jpeg_tiles(self) -> JpegTiles | None:
        page = self._page
        plain = (page.bitspersample, page.samplesperpixel, page.planarconfig) == (8, 3, 1)
        is_colour = page.photometric in (_RGB, _YCBCR) and self.samples.colours is Colours.RGB
        if page.compression not in _JPEG or not (page.is_tiled and plain and is_colour):
            return None
        if page.jpegheader is not None or len(self._planes) != 1:
            return None
        # As tifffile does: Aperio's tiles hold RGB and do not say so.
        is_rgb = page.photometric == _RGB and not page.is_jfif
        tables = bytes(self._planes[0][3].jpegtables or b"")
        return JpegTiles(int(page.tilelength), int(page.tilewidth), is_rgb, tables)

    def stored(self, row: int, col: int) -> bytes:
        """A tile of the first channel as it lies in the file; nothing where it is left out."""
        offsets, counts, first, _ = self._planes[0]
        index = first + row * self._cols + col
        return self._bytes(int(offsets[index]), int(counts[index])) if counts[index] else b""

    def _segment(
        self, offsets: np.ndarray, counts: np.ndarray, first: int, page: Any, index: int
    ) -> np.ndarray | None:
        """Samples of a tile or strip, or None where it is left out."""
        index += first
        count = int(counts[index])
        if count == 0:
            return None
        data = self._bytes(int(offsets[index]), count)
        if len(data) != count:
            raise truncated(self.name)
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
