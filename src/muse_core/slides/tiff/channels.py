"""Names of separate channels in TIFF files, by maker."""

from __future__ import annotations

import re
from typing import Any

import tifffile

from muse_core.slides.ome_xml import nth, ome_channel_names, ome_pixels
from muse_core.slides.tiff.mpp import scn_images

_QPI_NAME = re.compile(r"<(?:Biomarker|Name)>([^<]{1,200})</")
_MOST_CHANNELS = 64


def tiff_channel_names(tif: tifffile.TiffFile, series: Any, which: tuple[int, int]) -> list[str]:
    """Names of the channels of a series, or nothing where the file has none.

    Args:
        tif: The file.
        series: Of it.
        which: Index, from 0, and count of the series among those of its size.
    """
    page = series.keyframe
    width, height = int(page.imagewidth), int(page.imagelength)
    if tif.is_ome:
        found = [ome_channel_names(p) for p in ome_pixels(tif.ome_metadata or "", width, height)]
        return nth(found, which) or []
    if tif.is_scn:
        images = scn_images(tif.scn_metadata or "", width, height)
        return nth([_scn_names(image) for image in images], which) or []
    if tif.is_qpi:
        pages = list(series.pages)[:_MOST_CHANNELS]
        described = [_QPI_NAME.search(_description(p)) for p in pages]
        return [m[1] for m in described if m] if all(described) else []
    if tif.is_imagej:
        labels = (tif.imagej_metadata or {}).get("Labels")
        return [str(label) for label in labels] if isinstance(labels, list) else []
    return []


def _scn_names(image: Any) -> list[str]:
    tags = [(e.tag.rsplit("}", 1)[-1], e) for e in image.iter()]
    light = " ".join((e.text or "") for tag, e in tags if tag == "illuminationSource")
    names = [e.get("name", "") for tag, e in tags if tag == "channel"]
    return [f"{name} {light}".strip() for name in names] or ([light] if "fluor" in light else [])


def _description(page: Any) -> str:
    # Frames share the tags of another page but have descriptions of their own.
    return str(getattr(page, "description", "") or "")
