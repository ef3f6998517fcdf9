"""Files of several pages, and the slides read from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from muse_core.slides import Slide

Pixels = np.ndarray
PLAIN: dict[str, Any] = {"photometric": "rgb", "tile": (128, 128), "metadata": None}


def smaller(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def write_pages(path: Path, *pages: tuple[Pixels, dict[str, Any]]) -> Path:
    with tifffile.TiffWriter(path) as tif:
        for pixels, options in pages:
            tif.write(pixels, **(PLAIN | options))
    return path


def pixels_of(slide: Slide, level: int = 0) -> Pixels:
    result: Pixels = slide.levels[level].compute()
    return result


def tissue(slide: Slide) -> list[tuple[int | None, int, int]]:
    return [(i.number, i.width, i.height) for i in slide.images if i.number]
