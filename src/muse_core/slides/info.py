"""Report of `muse info` on a slide."""

from __future__ import annotations

from typing import Any

from muse_core.slides.slide import Slide
from muse_core.slides.tissue import tissue_mask


def slide_info(slide: Slide) -> dict[str, Any]:
    """Describe a slide in values that JSON knows.

    Returns:
        path, name, format, width_px, height_px, mpp_um (or null), mpp_from (file, given, forced or
        unknown), mpp_stated_um (by the file, or null), mpp_note (why the file's metadata gave no
        scale, or ""), size_mm ([width, height] or
        null), levels (width, height, downsample of each), associated, scanned_px (x, y,
        width and height of the part that was scanned), tissue_mm2 (or null); image
        (its number among the tissue images), plane, planes; images (number or null, name, role,
        width_px, height_px, mpp_um or null, planes of each image in the file); notes.

    Raises:
        UserError: The file is damaged.
    """
    mpp = slide.mpp
    return {
        "path": str(slide.path),
        "name": slide.name,
        "format": slide.format,
        "width_px": slide.width,
        "height_px": slide.height,
        "mpp_um": mpp,
        "mpp_from": slide.scale.source.value,
        "mpp_stated_um": slide.scale.stated_mpp,
        "mpp_note": slide.mpp_note,
        "size_mm": None
        if mpp is None
        else [round(slide.width * mpp / 1000, 4), round(slide.height * mpp / 1000, 4)],
        "levels": [
            {
                "width": int(level.shape[1]),
                "height": int(level.shape[0]),
                "downsample": float(downsample),
            }
            for level, downsample in zip(slide.levels, slide.downsamples, strict=True)
        ],
        "associated": list(slide.associated),
        "scanned_px": [slide.scanned.x, slide.scanned.y, slide.scanned.w, slide.scanned.h],
        "image": slide.image.number,
        "plane": slide.plane,
        "planes": slide.image.planes,
        "images": [
            {
                "number": image.number,
                "name": image.name,
                "role": image.role.value,
                "width_px": image.width,
                "height_px": image.height,
                "mpp_um": image.mpp,
                "planes": image.planes,
            }
            for image in slide.images
        ],
        "notes": list(slide.notes),
        "tissue_mm2": None if mpp is None else round(tissue_mask(slide).area_mm2(mpp), 4),
    }
