"""Detect the nuclei of a slide, or of a part of it, and draw them on its image.

python examples/detect_and_plot.py SLIDE --region 800,800,600,600 --out nuclei.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

import muse_core as muse

RADIUS_PX = 4


def main() -> None:
    """Write the image and print the number of nuclei of each class."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default=None, help="name or file; default: the default model")
    parser.add_argument("--mpp", type=float, help="if the slide does not state it")
    parser.add_argument("--region", type=muse.Region.parse, help="X,Y,W,H in pixels of the slide")
    parser.add_argument("--out", type=Path, default=Path("nuclei.png"))
    options = parser.parse_args()

    with muse.open_slide(options.slide) as slide:
        nuclei = muse.detect(slide, options.model, mpp=options.mpp, region=options.region)
        region = options.region or slide.bounds
        picture = Image.fromarray(slide.read(region))

    draw = ImageDraw.Draw(picture)
    colours = dict(
        zip(sorted(nuclei["class_name"].unique()), ("lime", "red", "blue"), strict=False)
    )
    for x, y, name in nuclei[["x", "y", "class_name"]].itertuples(index=False):
        # Coordinates are level-0 pixels from the corner of the first pixel.
        cx, cy = x - region.x, y - region.y
        box = (cx - RADIUS_PX, cy - RADIUS_PX, cx + RADIUS_PX, cy + RADIUS_PX)
        draw.ellipse(box, outline=colours.get(name, "yellow"), width=2)
    picture.save(options.out)
    print(nuclei["class_name"].value_counts().to_string())


if __name__ == "__main__":
    main()
