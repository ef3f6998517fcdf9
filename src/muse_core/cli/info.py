"""``muse info``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from muse_core.cli.options import (
    ChannelsOption,
    ForceMppOption,
    ImageOption,
    JsonOption,
    MppOption,
    PlaneOption,
    require_scale_to_force,
)

if TYPE_CHECKING:
    from muse_core.slides.info import ImageInfo, SlideInfo


def info(
    slide: Annotated[
        str, typer.Argument(metavar="SLIDE", help="SVS, TIFF, NDPI, OME-Zarr, PNG ...")
    ],
    mpp: MppOption = None,
    force_mpp: ForceMppOption = False,
    image: ImageOption = None,
    plane: PlaneOption = None,
    channels: ChannelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Describe a slide: format, size, scale, levels, tissue, and all the images in the file.

    If a file has several images, the largest is described, or the one given with --image; all of
    them with --image all.
    """
    from muse_core.cli.images import chosen_images
    from muse_core.slides import open_slide, slide_info

    require_scale_to_force(force_mpp, mpp)
    choices = chosen_images(slide, image, plane, channels)
    found = []
    for choice in choices:
        with open_slide(slide, mpp, choice, force_mpp) as opened:
            found.append(slide_info(opened))
    if as_json:
        typer.echo(json.dumps(found[0] if len(found) == 1 else found))
    else:
        typer.echo("\n\n".join("\n".join(_lines(facts)) for facts in found))


def _lines(facts: SlideInfo) -> list[str]:
    size_mm, tissue = facts["size_mm"], facts["tissue_mm2"]
    levels = ", ".join(
        f"{level['width']} x {level['height']} (1:{level['downsample']:g})"
        for level in facts["levels"]
    )
    physical = "" if size_mm is None else f", {size_mm[0]:.4g} x {size_mm[1]:.4g} mm"
    rows = {
        "name": facts["name"],
        "format": facts["format"],
        **_images(facts),
        **({"plane": f"{facts['plane']} of {facts['planes']}"} if facts["planes"] > 1 else {}),
        "size": f"{facts['width_px']} x {facts['height_px']} px{physical}",
        "scale": _scale(facts),
        "levels": levels,
        "tissue": "unknown without the scale" if tissue is None else f"{tissue:.4g} mm²",
        "also inside": ", ".join(_other(i) for i in facts["images"] if not i["number"])
        or "nothing",
    }
    x, y, w, h = facts["scanned_px"]
    if (w, h) != (facts["width_px"], facts["height_px"]):
        rows["scanned"] = f"{w:g} x {h:g} px from x {x:g}, y {y:g}, where files count from"
    lines = [f"{key:<12}{value}" for key, value in rows.items()]
    lines += [f"{'note':<12}{note}" for note in facts["notes"]]
    return lines


def _images(facts: SlideInfo) -> dict[str, str]:
    """A row for each tissue image, where there are several."""
    tissue = [i for i in facts["images"] if i["number"]]
    rows = {}
    for image in tissue if len(tissue) > 1 else ():
        scale = "" if image["mpp_um"] is None else f", {image['mpp_um']:.6g} um/px"
        planes = f", {image['planes']} planes" if image["planes"] > 1 else ""
        named = f"{image['name']}, " if image["name"] else ""
        here = "  (this one)" if image["number"] == facts["image"] else ""
        size = f"{image['width_px']} x {image['height_px']} px"
        rows[f"image {image['number']}"] = f"{named}{size}{scale}{planes}{here}"
    return rows


def _other(image: ImageInfo) -> str:
    """Such as "label (387 x 463 px)"; the role is added if the name does not tell it."""
    name, role = image["name"].lower() or "unnamed", image["role"]
    what = name if role in name or role == "other" else f"{name}, {role}"
    return f"{what} ({image['width_px']} x {image['height_px']} px)"


def _scale(facts: SlideInfo) -> str:
    if facts["mpp_um"] is None:
        why = f" ({facts['mpp_note']})" if facts["mpp_note"] else ""
        return f"unknown{why}; give --mpp"
    said = {"given": ", as given", "forced": ", as given and forced"}.get(facts["mpp_from"], "")
    return f"{facts['mpp_um']:.6g} um/px{said}"
