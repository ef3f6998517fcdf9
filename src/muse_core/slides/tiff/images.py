"""The images in a TIFF: scanned areas, scenes, pages; and what of them are labels and the like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tifffile

from muse_core.errors import UserError
from muse_core.slides.images import Role, SlideImage, count_planes, role_of_name
from muse_core.slides.level import Level
from muse_core.slides.tiff.copies import is_copy, may_be_copy
from muse_core.slides.tiff.mpp import tiff_mpp

PLANE_AXES = "ZT"
"""Axes that stack planes of one image: focal planes and points of time."""
_IN_PAGE = "YXS"
_REDUCED, _MASK = 1, 4
_BY_FIRST_PAGE = ("svs", "ndpi", "qpi", "philips", "bif", "avs")
"""Formats of scanners for a single slide, in which the series "Baseline" is the slide."""
_UNMARKED = ("generic", "uniform", "shaped", "imagej")
"""Formats that do not mark the levels of a pyramid, which are recognised by their size."""
_NAME = re.compile(r"[\w .,#()\[\]-]{1,80}")
_NDPI_Z_OFFSET = 65424
_MOST_COMPARED = 32
_MOST_SCALES = 64
_SMALL_SHARE, _SMALL_PX = 1 / 16, 4_000_000

ReadLevel = Callable[[Any], Level]
"""The first image and plane of a series of tifffile, to look at its pixels."""


@dataclass(frozen=True, eq=False)
class TiffImage:
    """An image of a TIFF.

    Attributes:
        levels: Series of tifffile, finest first.
        index: Which of the images that the series holds.
        which: Index, from 0, and count of the series among those of its size.
        facts: Name, size, role and scale, for people.
    """

    levels: Sequence[Any]
    index: int
    which: tuple[int, int]
    facts: SlideImage


def stack_axes(series: Any) -> list[tuple[str, int]]:
    """Axes and lengths of a series outside its pages, without those of length 1."""
    return [
        (axis, int(n))
        for axis, n in zip(series.axes, series.shape, strict=True)
        if axis not in _IN_PAGE and n > 1
    ]


def plane_sizes(series: Any) -> list[tuple[str, int]]:
    """Axes that stack planes, and their lengths."""
    return [(a, n) for a, n in stack_axes(series) if a in PLANE_AXES]


def order_of_planes(series: Any, axis: str) -> list[int]:
    """Index in the file of each plane, from the lowest up where the file says how high they are."""
    count = dict(zip(series.axes, series.shape, strict=True))[axis]
    order = list(range(int(count)))
    if series.kind != "ndpi" or len(series.pages) != count:
        return order
    pages = [page for page in series.pages if isinstance(page, tifffile.TiffPage)]
    offsets = [page.tags.valueof(_NDPI_Z_OFFSET) for page in pages]
    if len(offsets) != count or not all(isinstance(z, int | float) for z in offsets):
        return order
    return sorted(order, key=lambda i: offsets[i])


def image_sizes(series: Any) -> list[tuple[str, int]]:
    """Axes along which unrelated images are stacked, and their lengths."""
    return [(a, n) for a, n in stack_axes(series) if a not in f"C{PLANE_AXES}"]


def tiff_images(tif: tifffile.TiffFile, read_level: ReadLevel) -> list[TiffImage]:
    """List the images of a file, in its order.

    In formats that do not say which of their images are smaller copies of others, pixels are
    compared.
    """
    parted = [
        levels for series in tif.series if series.size for levels in _part(series, read_level)
    ]
    sizes = [_size(levels[0]) for levels in parted]
    counts, seen = Counter(sizes), Counter[tuple[int, int]]()
    largest = max((w * h for w, h in sizes), default=0)
    any_tiled = any(
        levels[0].keyframe.is_tiled and w * h == largest
        for levels, (w, h) in zip(parted, sizes, strict=True)
    )
    found = []
    for levels, size in zip(parted, sizes, strict=True):
        which = (seen[size], counts[size])
        seen[size] += 1
        name = _name(levels[0])
        role = _role(levels[0], name, size[0] * size[1] / largest, any_tiled)
        scaled = role is Role.TISSUE and len(parted) <= _MOST_SCALES
        mpp = tiff_mpp(tif, levels[0], which)[0] if scaled else None
        planes = count_planes(plane_sizes(levels[0]))
        facts = SlideImage(name, *size, role, mpp, planes)
        n_images = count_planes(image_sizes(levels[0]))
        found += [TiffImage(levels, i, which, facts) for i in range(n_images)]
    return _without_copies(found, read_level)


def _part(series: Any, read_level: ReadLevel) -> list[list[Any]]:
    """Group the levels of a series by content; levels that show something else come last."""
    levels = list(series.levels)
    if series.kind not in _UNMARKED:
        return [levels]
    own, others = levels[:1], []
    for level in levels[1:]:
        marked = level.keyframe.is_subifd or int(level.keyframe.subfiletype) & _REDUCED
        if marked or _shows_the_same(own[-1], level, read_level):
            own.append(level)
        else:
            others.append([level])
    return [own, *others]


def _without_copies(images: list[TiffImage], read_level: ReadLevel) -> list[TiffImage]:
    """Note which images are smaller copies of others.

    Some programs write the levels of a pyramid as images of OME-TIFF.
    """
    tissue = [i for i in images if i.facts.role is Role.TISSUE]
    if len(tissue) > _MOST_COMPARED or len({i.facts.px for i in tissue}) == 1:
        return images
    found = []
    for image in images:
        copy = image in tissue and any(
            other.levels[0].kind in (*_UNMARKED, "ome")
            and may_be_copy(_size(other.levels[0]), _size(image.levels[0]))
            and _shows_the_same(_next_finer(other, image), image.levels[0], read_level)
            for other in tissue
            if other.facts.px > image.facts.px
        )
        found.append(
            replace(image, facts=replace(image.facts, role=Role.THUMBNAIL)) if copy else image
        )
    return found


def _next_finer(image: TiffImage, small: TiffImage) -> Any:
    """The coarsest level that is still larger than another image, so that little is read."""
    width = small.facts.width
    finer = [level for level in image.levels if _size(level)[0] > width]
    return min(finer, key=lambda level: _size(level)[0])


def _shows_the_same(base: Any, small: Any, read_level: ReadLevel) -> bool:
    try:
        return is_copy(read_level(base), read_level(small))
    except UserError:
        return True  # a level that cannot be read is refused when it is asked for


def _role(series: Any, name: str, share: float, largest_is_tiled: bool) -> Role:
    page = series.keyframe
    kind = int(page.subfiletype)
    if series.kind == "ndpi" and series.is_pyramidal:
        return Role.TISSUE  # its name is what somebody has called the slide
    role = role_of_name(name, share)
    if role is not Role.TISSUE or (series.kind in _BY_FIRST_PAGE and name.lower() == "baseline"):
        return role
    if kind & _MASK:
        return Role.OTHER
    if kind & _REDUCED and share < 1:
        return Role.THUMBNAIL
    # What scanners add to a slide is not tiled, for it is small.
    small = share <= _SMALL_SHARE and int(page.imagewidth) * int(page.imagelength) <= _SMALL_PX
    added = small and largest_is_tiled and not page.is_tiled and series.kind in _UNMARKED
    return Role.OTHER if added else Role.TISSUE


def _name(series: Any) -> str:
    """Name of an image: the format's, else the page's description where that is short."""
    if series.name:
        return str(series.name)
    said = str(series.keyframe.description or "").strip()
    return said if _NAME.fullmatch(said) else ""


def _size(series: Any) -> tuple[int, int]:
    return int(series.keyframe.imagewidth), int(series.keyframe.imagelength)
