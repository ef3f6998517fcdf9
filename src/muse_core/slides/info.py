"""Report of `muse info` on a slide."""

from __future__ import annotations

from typing import TypedDict

from muse_core.slides.slide import Slide
from muse_core.slides.tissue import tissue_mask


class LevelInfo(TypedDict):
    """Size of a level in its own pixels, and by what factor it is smaller than level 0."""

    width: int
    height: int
    downsample: float


class ImageInfo(TypedDict):
    """One of the images in a file; its number among those of tissue, None of another."""

    number: int | None
    name: str
    role: str
    width_px: int
    height_px: int
    mpp_um: float | None
    planes: int


class SlideInfo(TypedDict):
    """Report on a slide.

    Attributes:
        mpp_from: file, given, forced or unknown.
        mpp_stated_um: Microns per pixel that the file states.
        mpp_note: Why the file's metadata gave no scale, or "".
        size_mm: Width and height.
        associated: Names of label, macro image and the like.
        scanned_px: x, y, width and height of the part that was scanned.
        image: Its number among the tissue images.
        images: All images in the file.
        notes: Sentences for the user.
        tissue_mm2: None while the scale is unknown.
    """

    path: str
    name: str
    format: str
    width_px: int
    height_px: int
    mpp_um: float | None
    mpp_from: str
    mpp_stated_um: float | None
    mpp_note: str
    size_mm: list[float] | None
    levels: list[LevelInfo]
    associated: list[str]
    scanned_px: list[float]
    image: int | None
    plane: int
    planes: int
    images: list[ImageInfo]
    notes: list[str]
    tissue_mm2: float | None


def slide_info(slide: Slide) -> SlideInfo:
    """Describe a slide in values that JSON knows.

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
