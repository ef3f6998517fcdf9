"""Draws typical errors of the default model in the demo slide: docs/images/errors.jpg.

    python tools/error_gallery.py CMU-1-Small-Region.svs --out docs/images/errors.jpg

The slide is from OpenSlide's test data, CC0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from PIL import Image, ImageDraw

import muse_core as muse

SIDE_PX, ENLARGED = 280, 2
RADIUS_PX, LINE_PX, GAP_PX, QUALITY = 9, 3, 8, 88
CORNERS = ((1130, 880), (1080, 620), (1780, 1180))
"""Of the fields from left to right, level-0 pixels: upper and lower epidermis, debris with ink."""


def main(
    slide: Annotated[Path, typer.Argument(help="CMU-1-Small-Region.svs")],
    out: Annotated[Path, typer.Option(help="Image to write.")],
) -> None:
    """Draw the fields side by side."""
    regions = [muse.Region(x, y, SIDE_PX, SIDE_PX) for x, y in CORNERS]
    with muse.open_slide(slide) as opened:
        nuclei = muse.detect(opened)
        fields = [drawn(Image.fromarray(opened.read(r)), nuclei, r) for r in regions]
    side = SIDE_PX * ENLARGED
    picture = Image.new("RGB", (len(fields) * (side + GAP_PX) - GAP_PX, side), "white")
    for number, field in enumerate(fields):
        picture.paste(field, (number * (side + GAP_PX), 0))
    picture.save(out, quality=QUALITY)


def drawn(field: Image.Image, nuclei: pd.DataFrame, region: muse.Region) -> Image.Image:
    """Return a field enlarged, with a circle in its class' colour around each nucleus in it."""
    field = field.resize((field.width * ENLARGED, field.height * ENLARGED))
    draw = ImageDraw.Draw(field)
    scheme = muse.ClassScheme.from_names(sorted(nuclei["class_name"].unique()))
    colours = {entry.name: entry.color for entry in scheme.classes}
    inside = nuclei[region.contains(nuclei["x"], nuclei["y"])]
    centres = (inside[["x", "y"]].to_numpy() - np.array([region.x, region.y])) * ENLARGED
    for (x, y), name in zip(centres, inside["class_name"], strict=True):
        box = (x - RADIUS_PX, y - RADIUS_PX, x + RADIUS_PX, y + RADIUS_PX)
        draw.ellipse(box, outline=colours[name], width=LINE_PX)
    return field


if __name__ == "__main__":
    typer.run(main)
