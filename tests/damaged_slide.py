"""Slides of which one tile cannot be decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from muse_core.slides import Region

TILE_PX = 64


def write_damaged(path: Path, picture: Path, x: int, y: int, mpp: float) -> Region:
    """Write a picture as a tiled TIFF and destroy the tile at a pixel; returns where that is."""
    pixels = np.asarray(Image.open(picture))
    with tifffile.TiffWriter(path) as tif:
        tif.write(
            pixels, photometric="rgb", tile=(TILE_PX, TILE_PX), compression="zlib", metadata=None,
            resolution=(1e4 / mpp, 1e4 / mpp), resolutionunit="CENTIMETER",
        )  # fmt: skip
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        row, column = y // TILE_PX, x // TILE_PX
        number = row * -(-pixels.shape[1] // TILE_PX) + column
        offset, count = page.dataoffsets[number], page.databytecounts[number]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(count))
    return Region(column * TILE_PX, row * TILE_PX, TILE_PX, TILE_PX)
