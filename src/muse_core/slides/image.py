"""Flat images: PNG, JPEG, WebP, BMP, GIF, JPEG 2000, AVIF, JPEG XL; one level, no scale."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from muse_core.array_types import RgbArray
from muse_core.errors import UserError
from muse_core.slides.choice import ImageChoice
from muse_core.slides.claimed_size import jpeg2000_bits, jpegxl_px, png_bits
from muse_core.slides.images import DefaultChoice, SlideImage, TakenImage, numbered, plain, taken
from muse_core.slides.level import ArrayLevel, Level
from muse_core.slides.orientation import TAG, orientation_note
from muse_core.slides.pixels import Alpha, Colours, Samples
from muse_core.slides.sampled_level import UncompressedLevel, settle_samples
from muse_core.slides.slide import SlideSource, pyramid

_AS_IT_IS = ImageChoice()
MAX_IMAGE_PX = 178_000_000
"""Such files are decoded whole, 530 MB of RGB at this size; Pillow's own hard limit is the same."""
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "JPEG2000", "AVIF")
_KINDS = {"MPO": "JPEG", "WEBP": "WebP", "JPEG2000": "JPEG 2000"}
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK")
_GRAY_16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_DEEP_MODES = ("LA", "RGB", "RGBA")
_DEEP: dict[str, tuple[Callable[[bytes], int], Callable[[bytes], npt.NDArray[Any]]]] = {
    "PNG": (png_bits, imagecodecs.png_decode),
    "JPEG2000": (jpeg2000_bits, imagecodecs.jpeg2k_decode),
}
"""Bits and samples of formats that may have 16 bits a colour, of which Pillow keeps the upper 8."""
_JPEGXL = "JPEG XL"
_WIDE = ("u1", "u2", "f2", "f4")
_SAMPLES = {
    1: Samples(Colours.GRAY),
    2: Samples(Colours.GRAY, Alpha.UNASSOCIATED),
    3: Samples(Colours.RGB),
    4: Samples(Colours.RGB, Alpha.UNASSOCIATED),
}


def open_image(path: Path, choice: ImageChoice = _AS_IT_IS) -> SlideSource:
    """Decode a flat image whole.

    The density these formats may carry is for printing and never taken for a scale. The pictures of
    an animation are images of their own; where none is chosen the first is taken.

    Raises:
        UserError: The file is damaged, too large, or not RGB, gray or CMYK; or there is nothing of
            what is chosen.
    """
    Image.init()  # else Pillow does not know yet which formats it has
    try:
        with warnings.catch_warnings():
            # Pillow warns at half the size at which this function refuses, and of damaged EXIF.
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=[f for f in _FORMATS if f in Image.ID])
        with image:
            which = _pick(image, choice, path.name)
            level, notes = _level(image, path)
            notes += orientation_note(_orientation(image))
            kind = image.format or ""
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(_too_large(path.name)) from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path.name} is not an image that can be read.") from error
    except Exception as error:
        # Pillow raises OSError, SyntaxError, ValueError, struct.error, zlib.error on damaged files.
        raise _damaged(path.name) from error
    levels, downsamples = pyramid([level])
    notes += settle_samples(levels)
    return SlideSource(path, _KINDS.get(kind, kind), levels, downsamples, notes=notes, taken=which)


def open_jpegxl(path: Path, choice: ImageChoice = _AS_IT_IS) -> SlideSource:
    """Decode a JPEG XL image whole.

    Raises:
        UserError: The file is damaged, too large, or of a kind that cannot be read.
    """
    data = path.read_bytes()
    try:
        if jpegxl_px(data) > MAX_IMAGE_PX:
            raise UserError(_too_large(path.name))
        stored = imagecodecs.jpegxl_decode(data, index=0)
    except UserError:
        raise
    except Exception as error:
        # A library in C that raises errors of its own, and ValueError and others for headers.
        raise _damaged(path.name) from error
    stored = stored[:, :, None] if stored.ndim == 2 else stored
    if stored.ndim != 3 or stored.shape[2] not in _SAMPLES or stored.dtype.str[1:] not in _WIDE:
        raise UserError(f"{path.name} is no RGB or gray image.")
    samples = _SAMPLES[stored.shape[2]]
    if stored.dtype != np.uint8:
        samples = replace(samples, needs_scaling=True)
    levels, downsamples = pyramid([UncompressedLevel(path.name, stored, samples)])
    notes = settle_samples(levels)
    plain(choice, path.name)
    height, width = stored.shape[:2]
    which = taken(numbered([SlideImage("", width, height)]), 1, choice, path.name)
    return SlideSource(path, _JPEGXL, levels, downsamples, notes=notes, taken=which)


def _pick(image: Image.Image, choice: ImageChoice, name: str) -> TakenImage:
    """Go to the chosen picture of an animation."""
    # The further pictures of an MPO are previews, depths and the like, as of telephones.
    count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    pictures = [SlideImage("", image.width, image.height) for _ in range(count)]
    plain(choice, name)
    which = taken(numbered(pictures), 1, choice, name, DefaultChoice(why="the first"))
    if which.image.number != 1:
        image.seek((which.image.number or 1) - 1)
    return which


def _level(image: Image.Image, path: Path) -> tuple[Level, tuple[str, ...]]:
    """The decoded pixels, and sentences for the user about how they were read."""
    name = path.name
    if image.width * image.height > MAX_IMAGE_PX:
        raise UserError(_too_large(name))
    if image.mode in _GRAY_16:
        wide = np.asarray(image).astype(np.uint16)[:, :, None]
        return UncompressedLevel(name, wide, Samples(Colours.GRAY, needs_scaling=True)), ()
    deep = _deep(image, path)
    if deep is not None:
        samples = replace(_SAMPLES[deep.shape[2]], needs_scaling=True)
        return UncompressedLevel(name, deep, samples), ()
    if image.mode not in _MODES:
        raise UserError(f"{name} is no RGB, gray or CMYK image (its mode is {image.mode}).")
    ink = "Its CMYK colours were converted without their profile." if image.mode == "CMYK" else ""
    return ArrayLevel(name, _to_rgb(image)), (ink,) if ink else ()


def _orientation(image: Image.Image) -> object:
    """Of the EXIF, None where there is none or it is damaged, which no pixel suffers from."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return image.getexif().get(TAG)
    except Exception:
        return None


def _deep(image: Image.Image, path: Path) -> npt.NDArray[Any] | None:
    """Samples (y, x, n) of 16 bits and several colours, or None where they are not such."""
    known = _DEEP.get(image.format or "")
    if known is None or image.mode not in _DEEP_MODES or "transparency" in image.info:
        return None
    if image.tell():  # the decoder knows only the first picture of an animation
        return None
    bits, decode = known
    data = path.read_bytes()
    return decode(data) if bits(data) == 16 else None


def _to_rgb(image: Image.Image) -> RgbArray:
    image.load()
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        # What is transparent was never scanned: white, like glass, whatever colour hides below.
        rgba = image.convert("RGBA")
        image = Image.new("RGBA", image.size, "white")
        image.alpha_composite(rgba)
    return np.asarray(image.convert("RGB"))


def _damaged(name: str) -> UserError:
    return UserError(f"{name} is damaged or truncated and cannot be decoded.")


def _too_large(name: str) -> str:
    return (
        f"{name} is larger than {MAX_IMAGE_PX // 1_000_000} megapixels, too large for an image "
        "without tiles; save it as a tiled pyramidal TIFF."
    )
