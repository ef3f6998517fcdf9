"""MRXS and the other formats that only OpenSlide reads; an optional extra."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from muse_core.array_types import RgbArray
from muse_core.errors import UserError
from muse_core.slides.choice import ImageChoice
from muse_core.slides.images import Role, SlideImage, numbered, plain, role_of_name, taken
from muse_core.slides.level import Level
from muse_core.slides.mpp import combine_mpp
from muse_core.slides.region import Region
from muse_core.slides.slide import SlideSource, pyramid
from muse_core.slides.stated import stated_length_um, stated_number

_AS_IT_IS = ImageChoice()
_PIECE_PX = 512
MIRAX = ".mrxs"
MIRAX_INDEX = "Slidedat.ini"
"""File in the folder of an MRXS that describes the slide."""
_BOUNDS = ("x", "y", "width", "height")
_MPP_KEYS = (
    ("openslide.mpp-x", "openslide.mpp-y"),
    ("aperio.MPP", "aperio.MPP"),
    ("ventana.ScanRes", "ventana.ScanRes"),
    (
        "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_X",
        "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_Y",
    ),
)
"""Properties with microns per pixel along x and y, OpenSlide's own first."""


def open_openslide(path: Path, choice: ImageChoice = _AS_IT_IS) -> SlideSource:
    """Open a slide with OpenSlide.

    Raises:
        UserError: OpenSlide is not installed, does not read the file, or there is nothing of what
            is chosen: it reads one image, in one plane.
    """
    try:
        import openslide
    except (ImportError, OSError) as error:
        # OSError: the Python part is there, the library is not.
        raise UserError(
            f"Reading {path.name} needs OpenSlide; install it with "
            "pip install 'napari-muse[openslide]'."
        ) from error
    try:
        slide = openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        why = _why_incomplete(path) or "is not a slide that OpenSlide can read"
        raise UserError(f"{path.name} {why}.") from error
    except openslide.OpenSlideError as error:
        raise UserError(f"{path.name} is damaged or incomplete: {error}.") from error
    renewed = RenewedSlide(slide, path)
    try:
        levels, downsamples = pyramid(
            [OpenSlideLevel(renewed, i, path.name) for i in range(slide.level_count)]
        )
        plain(choice, path.name)
        which = taken(_images(slide), 1, choice, path.name)
    except UserError:
        renewed.close()
        raise
    mpp, note = _scale(slide.properties)
    vendor = slide.properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
    return SlideSource(
        path,
        f"OpenSlide ({vendor})",
        levels,
        downsamples,
        mpp,
        note,
        tuple(sorted(slide.associated_images)),
        renewed.close,
        taken=which,
        scanned=_scanned(slide.properties),
    )


def _why_incomplete(path: Path) -> str:
    """What an MRXS lacks, whose file holds only a preview; "" for other slides and if it is there.

    The folder stays behind if the file alone is copied or renamed.
    """
    folder = path.with_suffix("")
    if path.suffix.lower() != MIRAX:
        return ""
    if not folder.is_dir():
        return f"is incomplete: the folder {folder.name}, which holds its pixels, is not beside it"
    if not (folder / MIRAX_INDEX).is_file():
        return f"is incomplete: {folder.name}/{MIRAX_INDEX} is missing"
    return ""


def _images(slide: Any) -> tuple[SlideImage, ...]:
    """The slide, then what belongs to it; sizes of the latter since OpenSlide 4."""
    width, height = slide.dimensions
    found = [SlideImage("", width, height)]
    for name in sorted(slide.associated_images):
        sizes = [
            stated_number(slide.properties.get(f"openslide.associated.{name}.{side}"))
            for side in ("width", "height")
        ]
        w, h = (int(s) if s and s >= 1 else 1 for s in sizes)
        role = role_of_name(name, 0.0)
        found.append(SlideImage(name, w, h, Role.OTHER if role is Role.TISSUE else role))
    return numbered(found)


def _scanned(properties: Mapping[str, str]) -> Region | None:
    """The bounds of what is not empty, where the file has them."""
    found = [stated_number(properties.get(f"openslide.bounds-{k}")) for k in _BOUNDS]
    x, y, w, h = found
    if x is None or y is None or w is None or h is None or not all(map(math.isfinite, (x, y))):
        return None
    return Region(x, y, w, h) if w > 0 and h > 0 else None


def openslide_knows(path: Path) -> bool:
    """Whether OpenSlide is installed and takes a file for a slide."""
    try:
        import openslide
    except (ImportError, OSError):
        return False
    return openslide.OpenSlide.detect_format(path) is not None


def _scale(properties: Mapping[str, str]) -> tuple[float | None, str]:
    """Microns per pixel, as :func:`combine_mpp`, of the first place that gives one.

    OpenSlide leaves its own properties out where it cannot read what the maker has written.
    """
    found = [
        combine_mpp(*(stated_length_um(properties.get(key)) for key in keys))
        for keys in _MPP_KEYS
        if all(key in properties for key in keys)
    ]
    return next((f for f in found if f[0] is not None), found[0] if found else (None, ""))


class RenewedSlide:
    """An OpenSlide object that is opened anew after an error, for it gives nothing any more then.

    So a damaged place costs no other. Thread-safe.
    """

    def __init__(self, slide: Any, path: Path) -> None:
        self.levels = tuple(zip(slide.level_dimensions, slide.level_downsamples, strict=True))
        self._slide, self._path = slide, path
        self._lock = threading.Lock()
        self._closed = False

    def read_region(self, corner: tuple[int, int], index: int, size: tuple[int, int]) -> Any:
        """As OpenSlide's; an error is that of this very place."""
        import openslide

        slide = self._slide
        try:
            return slide.read_region(corner, index, size)
        except openslide.OpenSlideError:
            # Another thread's place may have caused it, so try one that nobody else reads from.
            alone = openslide.OpenSlide(self._path)
        try:
            return alone.read_region(corner, index, size)
        except openslide.OpenSlideError:
            spoilt, alone = alone, openslide.OpenSlide(self._path)
            spoilt.close()
            raise
        finally:
            self._renew(slide, alone)

    def _renew(self, failed: Any, fresh: Any) -> None:
        """Put an object in the place of the one that failed, which others may still be reading."""
        with self._lock:
            if self._slide is failed and not self._closed:
                self._slide = fresh
                return
        fresh.close()

    def close(self) -> None:
        """Close the file; may be called more than once."""
        with self._lock:
            self._closed = True
            self._slide.close()


class OpenSlideLevel(Level):
    """One level of a slide of OpenSlide, which may be read from several threads."""

    def __init__(self, slide: RenewedSlide, index: int, name: str) -> None:
        (width, height), downsample = slide.levels[index]
        super().__init__(name, (height, width), (_PIECE_PX, _PIECE_PX))
        self._slide, self._index = slide, index
        self._downsample = float(downsample)

    def _decode(self, row: int, col: int) -> RgbArray:
        x, y = col * self.piece_w, row * self.piece_h
        size = (min(self.piece_w, self.width - x), min(self.piece_h, self.height - y))
        corner = (round(x * self._downsample), round(y * self._downsample))
        rgba = self._slide.read_region(corner, self._index, size)
        # What was never scanned is transparent.
        white = Image.new("RGBA", size, "white")
        white.alpha_composite(rgba)
        return np.asarray(white.convert("RGB"))
