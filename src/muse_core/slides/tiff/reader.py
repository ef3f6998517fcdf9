"""TIFF of all kinds that tifffile reads: SVS, NDPI, SCN, OME-TIFF, Philips, generic pyramids."""

from __future__ import annotations

import threading
from collections.abc import Sequence
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
from muse_core.slides.lost_pieces import lost_pieces
from muse_core.slides.ome_xml import spans_files
from muse_core.slides.orientation import TAG, orientation_note
from muse_core.slides.pixels import Colours, Samples
from muse_core.slides.raw_pixels import RawPixels
from muse_core.slides.reading_errors import truncated
from muse_core.slides.sampled_level import UncompressedLevel, settle_samples
from muse_core.slides.slide import SlideSource, pyramid
from muse_core.slides.tiff.channels import tiff_channel_names
from muse_core.slides.tiff.images import (
    TiffImage,
    image_sizes,
    order_of_planes,
    plane_sizes,
    tiff_images,
)
from muse_core.slides.tiff.layout import layout_options
from muse_core.slides.tiff.level import TiffLevel
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
    tiled = [level for level in kept if isinstance(level, TiffLevel)]
    notes = settle_samples(kept) + lost_pieces(tiled, TiffLevel.gaps)
    notes += orientation_note(finest.keyframe.tags.valueof(TAG))
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
    is_plain = page.compression == 1 and page.is_memmappable and page.fillorder == 1
    if is_plain and len(pages) == 1 and all(pages[0].databytecounts):
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
