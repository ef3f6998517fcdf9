"""PNG and JPEG: one level, no scale."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from muse_core.errors import UserError
from muse_core.slides.level import ArrayLevel, RgbArray
from muse_core.slides.slide import SlideSource, pyramid

MAX_IMAGE_PX = 178_000_000
"""Such files are decoded whole, 530 MB of RGB at this size; Pillow's own hard limit is the same."""
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX")


def open_image(path: Path) -> SlideSource:
    """Decode a PNG or JPEG file whole.

    The density these formats may carry is for printing and never taken for a scale.

    Raises:
        UserError: The file is damaged, too large, or not 8-bit RGB or gray.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns at half the size at which this function refuses.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=("PNG", "JPEG"))
        with image:
            pixels = _to_rgb(image, path.name)
            kind = "JPEG" if image.format in ("JPEG", "MPO") else "PNG"
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(_too_large(path.name)) from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path.name} is not a PNG or JPEG image.") from error
    except Exception as error:
        # Pillow raises OSError, SyntaxError, ValueError, struct.error, zlib.error on damaged files.
        raise UserError(f"{path.name} is damaged or truncated and cannot be decoded.") from error
    levels, downsamples = pyramid([ArrayLevel(path.name, pixels)])
    return SlideSource(path, kind, levels, downsamples)


def _to_rgb(image: Image.Image, name: str) -> RgbArray:
    if image.width * image.height > MAX_IMAGE_PX:
        raise UserError(_too_large(name))
    if image.mode not in _MODES:
        raise UserError(f"{name} is no 8-bit RGB or gray image (its mode is {image.mode}).")
    image.load()
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        # What is transparent was never scanned: white, like glass, whatever colour hides below.
        rgba = image.convert("RGBA")
        image = Image.new("RGBA", image.size, "white")
        image.alpha_composite(rgba)
    return np.asarray(image.convert("RGB"))


def _too_large(name: str) -> str:
    return (
        f"{name} is larger than {MAX_IMAGE_PX // 1_000_000} megapixels, too large for PNG or JPEG; "
        "save it as a tiled pyramidal TIFF."
    )
