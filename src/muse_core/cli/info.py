"""``muse info``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from muse_core.cli.options import JsonOption


def info(
    slide: Annotated[
        Path, typer.Argument(metavar="SLIDE", help="SVS, TIFF, NDPI, OME-Zarr, PNG ...")
    ],
    mpp: Annotated[
        float | None,
        typer.Option("--mpp", help="Microns per pixel of the slide, if the file does not say."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a slide is: format, size, scale, levels, tissue."""
    from muse_core.slides import open_slide, slide_info

    with open_slide(slide, mpp=mpp) as opened:
        facts = slide_info(opened)
    typer.echo(json.dumps(facts) if as_json else "\n".join(_lines(facts)))


def _lines(facts: dict[str, Any]) -> list[str]:
    size_mm, tissue = facts["size_mm"], facts["tissue_mm2"]
    levels = ", ".join(
        f"{level['width']} x {level['height']} (1:{level['downsample']:g})"
        for level in facts["levels"]
    )
    physical = "" if size_mm is None else f", {size_mm[0]:.4g} x {size_mm[1]:.4g} mm"
    mpp = facts["mpp_um"]
    rows = {
        "name": facts["name"],
        "format": facts["format"],
        "size": f"{facts['width_px']} x {facts['height_px']} px{physical}",
        "scale": "unknown; give --mpp" if mpp is None else f"{mpp:.6g} um/px",
        "levels": levels,
        "tissue": "unknown without the scale" if tissue is None else f"{tissue:.4g} mm²",
        "also inside": ", ".join(facts["associated"]) or "nothing",
    }
    x, y, w, h = facts["scanned_px"]
    if (w, h) != (facts["width_px"], facts["height_px"]):
        rows["scanned"] = f"{w:g} x {h:g} px from x {x:g}, y {y:g}, where files count from"
    return [f"{key:<12}{value}" for key, value in rows.items()]
