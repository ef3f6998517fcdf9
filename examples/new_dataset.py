"""A custom dataset: convert images and centres in any file format to a points-folder.

Here a folder holds NAME.png and NAME.json with [{"x": 1.5, "y": 2.5, "label": "tumor"}, ...].

python examples/new_dataset.py FOLDER --out points
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from muse_core.data.datasets import Dataset, Detail, convert_dataset
from muse_core.data.points_folder import AnnotatedImage

MPP = 0.25


def read(folder: Path, split: str, fine: bool) -> Iterator[AnnotatedImage]:
    """Yield the images with the centres of their nuclei, in pixels from the image's corner.

    This dataset has a single split, and no finer classes.
    """
    for path in sorted(folder.glob("*.png")):
        nuclei = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        xy = np.array([(n["x"], n["y"]) for n in nuclei], dtype=np.float32).reshape(-1, 2)
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        yield AnnotatedImage(path.stem, pixels, xy, tuple(n["label"] for n in nuclei), MPP)


MINE = Dataset("mine", splits=("all",), mpp=MPP, read=read, reference="nobody yet")


def main() -> None:
    """Write the points-folder and print the number of nuclei of each class."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("points"))
    options = parser.parse_args()
    facts = convert_dataset(MINE, options.folder, options.out, split="all", detail=Detail(mpp=0.5))
    print(facts["nuclei"], "in", options.out)


if __name__ == "__main__":
    main()
