"""A custom reader: a folder of tiles ROW_COLUMN.png becomes a slide like any other.

python examples/new_slide_reader.py FOLDER --mpp 0.5
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

import muse_core as muse
from muse_core.slides.level import Level
from muse_core.slides.slide import SlideSource, pyramid


class TileLevel(Level):
    """A level whose chunks are files; Level does caching, bounds and lazy arrays."""

    def __init__(self, folder: Path, rows: int, columns: int, tile_px: int) -> None:
        super().__init__(folder.name, (rows * tile_px, columns * tile_px), (tile_px, tile_px))
        self._folder = folder

    def _decode(self, row: int, col: int) -> npt.NDArray[np.uint8]:
        """Pixels (y, x, 3) of one chunk. An error becomes a message that names the chunk."""
        with Image.open(self._folder / f"{row}_{col}.png") as image:
            return np.asarray(image.convert("RGB"))


def open_tiles(folder: Path, mpp: float) -> muse.Slide:
    """Return the slide made of the tiles of a folder."""
    names = [tuple(map(int, path.stem.split("_"))) for path in folder.glob("[0-9]*_[0-9]*.png")]
    if not names:
        raise muse.UserError(f"{folder} holds no tiles ROW_COLUMN.png.")
    rows, columns = np.max(names, axis=0) + 1
    with Image.open(folder / "0_0.png") as first:
        tile_px = first.width
    levels, downsamples = pyramid([TileLevel(folder, int(rows), int(columns), tile_px)])
    return muse.Slide(SlideSource(folder, "tiles", levels, downsamples), mpp)


def main() -> None:
    """Print a description of the slide and its number of nuclei."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mpp", type=float, required=True)
    parser.add_argument("--model", default=None)
    options = parser.parse_args()
    with open_tiles(options.folder, options.mpp) as slide:
        print(slide)
        print(len(muse.detect(slide, options.model)), "nuclei")


if __name__ == "__main__":
    main()
