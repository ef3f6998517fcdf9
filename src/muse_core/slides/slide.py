"""Slide: a pyramid of RGB levels with microns per pixel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

import numpy as np

from muse_core.array_types import RgbArray
from muse_core.errors import UserError
from muse_core.slides.choice import ImageChoice
from muse_core.slides.images import SlideImage, TakenImage, numbered, taken
from muse_core.slides.level import Level, PieceCache
from muse_core.slides.mpp import check_mpp
from muse_core.slides.region import Region
from muse_core.slides.resample import Grid, resample
from muse_core.slides.scale import settle_scale

if TYPE_CHECKING:
    import dask.array as da

MAX_READ_PX = 400_000_000
"""Largest result of one read (1.2 GB)."""
_ROUNDING = 1e-9
_FINER_TOLERANCE = 1.01
"""A level up to this much too coarse counts as fine enough; levels are rarely exact halves."""


@dataclass(frozen=True)
class SlideSource:
    """Content of a file as a reader found it: levels, scale and metadata.

    Attributes:
        path: The file or folder.
        format: For people, such as "Aperio SVS".
        levels: Finest first.
        downsamples: Level-0 pixels per pixel of each level, 1.0 first.
        mpp: Microns per level-0 pixel, or None.
        mpp_note: Why the metadata gave no mpp although it says something, or "".
        associated: Names of images in the file that are no tissue.
        close: Closes the file; may be called more than once.
        rest: Closes the file until it is read again, if the levels can do so.
        notes: Sentences for the user about how the pixels were read.
        taken: Which image of the file this is; None where there is but one.
        scanned: The part of the slide that was scanned, level-0 pixels, if the file states it; the
            rest is empty. QuPath shows only that part, with coordinates relative to its corner.
        address: Network address by which it is opened again; "" is a file of this machine.
        name: Name for people, if it is not that of the file.
        plane_zt: See :attr:`Slide.plane_zt`.
    """

    path: Path
    format: str
    levels: tuple[Level, ...]
    downsamples: tuple[float, ...]
    mpp: float | None = None
    mpp_note: str = ""
    associated: tuple[str, ...] = ()
    close: Callable[[], None] = field(default=lambda: None)
    notes: tuple[str, ...] = ()
    taken: TakenImage | None = None
    scanned: Region | None = None
    rest: Callable[[], None] = field(default=lambda: None)
    address: str = ""
    name: str = ""
    plane_zt: tuple[int, int] = (0, 0)


class Slide:
    """A read-only slide; a context manager, safe to read from several threads.

    Made by :func:`muse_core.slides.open_slide`.

    Args:
        source: What the reader found.
        mpp: Microns per level-0 pixel, where the file does not say.
        force_mpp: Whether mpp replaces a scale that the file states.
    """

    def __init__(
        self, source: SlideSource, mpp: float | None = None, force_mpp: bool = False
    ) -> None:
        self._source = source
        self.path = source.path
        self.name = source.name or source.path.name
        self.format = source.format
        self.downsamples = source.downsamples
        self.scale = settle_scale(source.mpp, mpp, force_mpp)
        self.mpp = self.scale.mpp
        self.height, self.width = source.levels[0].shape[:2]
        self.associated = source.associated
        one = numbered([SlideImage("", self.width, self.height, mpp=source.mpp)])
        self._taken = source.taken or taken(one, 1, ImageChoice(), self.name)
        self.notes = (*self._taken.notes, *source.notes, *self.scale.notes)

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or sent to another process, where its file is not open."""
        raise UserError(
            f"The open slide {self.name} cannot be copied or sent to another process; send its path"
            " and scale, and open it there."
        )

    @property
    def location(self) -> str | Path:
        """Path or network address by which the slide is opened again."""
        return self._source.address or self.path

    @property
    def is_remote(self) -> bool:
        """Whether it is read over the network, from an address."""
        return bool(self._source.address)

    @property
    def source(self) -> SlideSource:
        """Content of the file as the reader found it."""
        return self._source

    @property
    def is_file(self) -> bool:
        """Whether it is read from a file, and not an array that a program holds."""
        return not self._source.name

    @cached_property
    def levels(self) -> tuple[da.Array, ...]:
        """Lazy arrays (y, x, 3) uint8, finest first."""
        return tuple(level.to_dask() for level in self._source.levels)

    @property
    def images(self) -> tuple[SlideImage, ...]:
        """All images of the file, also those that are no tissue."""
        return self._taken.images

    @property
    def image(self) -> SlideImage:
        """The image of the file that this is."""
        return self._taken.image

    @property
    def n_images(self) -> int:
        """Number of tissue images in the file."""
        return sum(image.number is not None for image in self.images)

    def require_only_image(self) -> None:
        """Raise UserError where the file holds further tissue images or planes."""
        if self._taken.choice.image or self._taken.choice.plane:
            what = (
                f"{self.n_images} tissue images"
                if self.n_images > 1
                else f"a stack of {self.image.planes} planes"
            )
            raise UserError(f"{self.name} holds {what}; save the one that is meant alone.")

    @property
    def plane(self) -> int:
        """Number of the plane of a stack, from 1."""
        return self._taken.plane

    @property
    def plane_zt(self) -> tuple[int, int]:
        """Index, from 0, of the focal plane and of the point of time that are read."""
        return self._source.plane_zt

    @property
    def choice(self) -> ImageChoice:
        """Choice that opens this very image and plane of the file again."""
        return self._taken.choice

    @property
    def part(self) -> str:
        """Key of this image and plane within the file; "" for the default ones.

        Such as "image=2&plane=3".
        """
        return self._taken.part

    @property
    def key(self) -> tuple[Path, str]:
        """Equal for slides that show the same pixels."""
        return self.path, self.part

    @property
    def title(self) -> str:
        """The file name, and which image and plane it is where there are several."""
        which = [f"image {self.image.number}"] if self.n_images > 1 else []
        which += [f"plane {self.plane}"] if self.image.planes > 1 else []
        return f"{self.name} [{', '.join(which)}]" if which else self.name

    @property
    def bounds(self) -> Region:
        """The whole slide as a region."""
        return Region(0.0, 0.0, float(self.width), float(self.height))

    @property
    def mpp_note(self) -> str:
        """Why the file's metadata gave no scale although they say something, or ""."""
        return self._source.mpp_note

    @property
    def scanned(self) -> Region:
        """The part that was scanned, level-0 pixels; the whole slide where the file says none."""
        return self._source.scanned or self.bounds

    def with_mpp(self, mpp: float) -> Slide:
        """Return the open slide with another scale, whatever its file says.

        Raises:
            UserError: The scale is impossible.
        """
        return Slide(self._source, mpp, force_mpp=True)

    def require_mpp(self, how: str = "with --mpp on the command line") -> float:
        """Microns per level-0 pixel.

        Args:
            how: How the user can give the scale, to end the error's sentence with.

        Raises:
            UserError: It is unknown.
        """
        if self.mpp is None:
            why = self._source.mpp_note or "the file does not say"
            raise UserError(
                f"The scale of {self.name} is unknown ({why}); give it in microns per pixel, {how}."
            )
        return self.mpp

    @cached_property
    def _halves(self) -> tuple[Level | None, ...]:
        """The levels at half their sizes, with a cache of their own; see :meth:`Level.half`."""
        halves = tuple(level.half() for level in self._source.levels)
        cache = PieceCache()
        for i, half in enumerate(halves):
            if half is not None:
                half.share_cache(cache, i)
        return halves

    def exact_downsamples(self, half: bool = False) -> tuple[float, ...]:
        """Downsamples (level-0 pixels per pixel) that can be read without resampling.

        Args:
            half: Whether halved JPEG tiles count, see :meth:`read`.
        """
        pairs = zip(self.downsamples, self._halves if half else (), strict=False)
        return (*self.downsamples, *(2 * down for down, level in pairs if level is not None))

    def can_halve(self, downsample: float) -> bool:
        """Whether a downsample of level 0 can be read from JPEG tiles decoded at half size."""
        return self._half_for(downsample) is not None

    def _half_for(self, downsample: float) -> Level | None:
        """The level of :meth:`level_for` at half size, or None if that is not fine enough."""
        index = self.level_for(downsample)
        fine = downsample >= 2 * self.downsamples[index] * (1 - _ROUNDING)
        return self._halves[index] if fine else None

    def read(self, region: Region, mpp: float | None = None, half: bool = False) -> RgbArray:
        """Read a rectangle at a scale, from the nearest finer level, antialiased.

        Output pixels are exactly ``mpp`` wide and start at the region's top-left corner, so that
        tiles read one by one join without seams; a region that is no whole number of output pixels
        is cut or extended to the nearest.

        Args:
            region: Level-0 pixels, may be fractional and may reach beyond the slide.
            mpp: Microns per output pixel; None reads level 0 as it is.
            half: Whether JPEG tiles may be decoded at half size where that is fine enough: faster,
                and a little different from decoding all pixels.

        Returns:
            Pixels (round(h * s), round(w * s), 3), uint8, with s = slide mpp / mpp and at least one
            pixel each way; white outside the slide.

        Raises:
            UserError: The slide's scale is needed and unknown, the result would be too large, the
                region is none, or the file is damaged.
        """
        if not isinstance(region, Region):
            raise UserError(
                f"A slide is read by a Region, as in Region(0, 0, 500, 500), not by {region!r:.99}."
            )
        factor = 1.0 if mpp is None else check_mpp(mpp) / self.require_mpp()
        out_w, out_h = max(1, round(region.w / factor)), max(1, round(region.h / factor))
        if out_w * out_h > MAX_READ_PX:
            raise UserError(
                f"Reading {out_w} x {out_h} pixels of {self.name} at once is too much; "
                "choose a smaller region or a coarser scale."
            )
        index = self.level_for(factor)
        level, down = self._source.levels[index], self.downsamples[index]
        halved = self._half_for(factor) if half else None
        if halved is not None:
            level, down = halved, 2 * down
        grid = Grid(region.x / down, region.y / down, factor / down, out_w, out_h)
        return resample(level, grid, (self.width / down, self.height / down))

    def level_for(self, downsample: float) -> int:
        """Index of the coarsest level that is still as fine as ``downsample``, or 0."""
        fine = [i for i, d in enumerate(self.downsamples) if d <= downsample * _FINER_TOLERANCE]
        return max(fine, default=0)

    def rest(self) -> None:
        """Close the file until it is read again; only for slides of :func:`resting_slide`."""
        self._source.rest()

    def close(self) -> None:
        """Close the file; reading afterwards raises UserError."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        scale = "unknown scale" if self.mpp is None else f"{self.mpp:g} um/px"
        return f"<Slide {self.name}: {self.format}, {self.width} x {self.height} px, {scale}>"


def pyramid(levels: Sequence[Level]) -> tuple[tuple[Level, ...], tuple[float, ...]]:
    """Order levels from fine to coarse, with downsamples; drop those that are no smaller copies.

    Args:
        levels: At least one; the largest becomes level 0.

    Returns:
        The levels kept, and their downsamples.
    """
    ordered = sorted(levels, key=lambda level: -level.width * level.height)
    kept, downsamples = [ordered[0]], [1.0]
    for level in ordered[1:]:
        downsample = _downsample(ordered[0], level)
        if downsample is not None and downsample > downsamples[-1]:
            kept.append(level)
            downsamples.append(downsample)
    cache = PieceCache()
    for i, level in enumerate(kept):
        level.share_cache(cache, i)
    return tuple(kept), tuple(downsamples)


def _downsample(base: Level, level: Level) -> float | None:
    """Return the downsampling of a level, None where its proportions are not the base's."""
    ratio_x, ratio_y = base.width / level.width, base.height / level.height
    whole = round(math.sqrt(ratio_x * ratio_y))
    # Scanners cut off the odd pixel on halving: 625 -> 312 is a factor of 2, not of 2.003.
    if whole >= 2 and all(
        abs(big / whole - small) < 1.0
        for big, small in ((base.width, level.width), (base.height, level.height))
    ):
        return float(whole)
    off_px = abs(ratio_x - ratio_y) / max(ratio_x, ratio_y) * min(level.width, level.height)
    # However little it is, at the far side of a slide it may be hundreds of pixels.
    if off_px > 2.0:
        return None
    return float(np.sqrt(ratio_x * ratio_y))
