"""Find the pages of a TIFF that hold an image, a plane of a stack and its channels."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tifffile

from muse_core.errors import UserError
from muse_core.slides.channels import ChannelPlan
from muse_core.slides.raw_pixels import RawPixels
from muse_core.slides.reading_errors import truncated

_IN_PAGE = "YXSC"


@dataclass(frozen=True)
class Pick:
    """Pages of a TIFF series that are read.

    Attributes:
        outer: Axes of the finest level outside its pages, and their lengths. Coarser levels have
            the same, by whatever letters tifffile calls them; empty takes those of the series.
        at: Index along each axis but that of the channels; 0 for those that are missing.
        channels: Which of the separate channels.
    """

    outer: Sequence[tuple[str, int]] = ()
    at: Mapping[str, int] = field(default_factory=dict)
    channels: ChannelPlan = field(default_factory=lambda: ChannelPlan((0,)))


def image_pages(series: Any, pick: Pick, name: str) -> list[Any]:
    """The page of an image, or one for each channel.

    Raises:
        UserError: The series does not have the pages that it should.
    """
    outer = outer_axes(series, name)
    if pick.outer:
        if [n for _, n in outer] != [n for _, n in pick.outer]:
            raise UserError(f"{name} is damaged: its levels differ in planes or channels.")
        outer = list(pick.outer)
    pages, expected = list(series.pages), int(np.prod([n for _, n in outer], dtype=np.int64))
    if len(pages) != expected:
        raise UserError(
            f"{name} is damaged: {expected} image plane(s) expected, {len(pages)} found."
        )
    found = [pages[i] for i in _indices(outer, pick)]
    if any(page is None for page in found):
        raise UserError(f"{name} is damaged: the pixels of an image plane are missing.")
    return found


def virtual_planes(
    tif: tifffile.TiffFile, series: Any, pick: Pick, name: str, lock: threading.Lock
) -> RawPixels:
    """Samples (y, x, n) of a stack that lies in one run behind its only page, as ImageJ writes it.

    Raises:
        UserError: The file is shorter than it says.
    """
    page = series.keyframe
    outer = outer_axes(series, name)
    count = int(np.prod([n for _, n in outer], dtype=np.int64))
    shape = tuple(page.shape) if len(page.shape) == 3 else (*page.shape, 1)
    offset = int(page.dataoffsets[0])
    if page.planarconfig != 1 and page.samplesperpixel > 1:
        raise UserError(f"{name} is a stack of separate colour planes, which cannot be read.")
    if offset + count * page.nbytes > tif.filehandle.size:
        raise truncated(name)
    stored = page.dtype.newbyteorder(tif.byteorder)
    offsets = [offset + i * page.nbytes for i in _indices(outer, pick)]
    return RawPixels(tif, lock, name, offsets, shape, stored)


def outer_axes(series: Any, name: str) -> list[tuple[str, int]]:
    """Axes outside a page, those of length 1 left out."""
    page = series.keyframe
    sizes = [
        (axis, int(n))
        for axis, n in zip(series.axes, series.shape, strict=True)
        if n > 1 or axis in "YX"
    ]
    inside = sum(n > 1 or axis in "YX" for axis, n in zip(page.axes, page.shape, strict=True))
    outer, inner = sizes[: len(sizes) - inside], sizes[len(sizes) - inside :]
    if any(axis not in _IN_PAGE for axis, _ in inner):
        raise UserError(f"{name} holds a volume in one page; save its planes as pages.")
    return outer


def _indices(outer: list[tuple[str, int]], pick: Pick) -> list[int]:
    """Indices of the pages to read, one for each channel."""
    found = []
    for channel in pick.channels.order:
        index = 0
        for axis, n in outer:
            index = index * n + (channel if axis == "C" else pick.at.get(axis, 0))
        found.append(index)
    return found
