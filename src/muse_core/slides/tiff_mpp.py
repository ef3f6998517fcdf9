"""Microns per pixel from what the makers of TIFF files write."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import tifffile

from muse_core.slides.mpp import combine_mpp, plausible_tag_mpp, um_per_unit

Pair = tuple[float, float]


def tiff_mpp(tif: tifffile.TiffFile, series: Any) -> tuple[float | None, str]:
    """Microns per pixel of a series' full resolution.

    The maker's own metadata come first. The resolution tags of TIFF count only with a real unit
    and a value that can come from a microscope (see :data:`muse_core.slides.mpp.MAX_TAG_MPP`), for
    most programs write 72 or 96 dpi there. Nothing is derived from a magnification.

    Returns:
        As :func:`muse_core.slides.mpp.combine_mpp`.
    """
    page = series.keyframe
    found: Pair | None = None
    if tif.is_svs:
        found = aperio_mpp(page.description)
    elif tif.is_scn:
        found = scn_mpp(tif.scn_metadata or "", page.imagewidth, page.imagelength)
    elif tif.is_philips:
        found = philips_mpp(tif.philips_metadata or "")
    elif tif.is_ome:
        found = ome_mpp(tif.ome_metadata or "", page.imagewidth, page.imagelength)
    elif tif.is_imagej:
        found = imagej_mpp(tif.imagej_metadata or {}, _tag_resolution(page))
    if found is None:
        found = resolution_mpp(_tag_resolution(page), int(page.resolutionunit or 1))
    return combine_mpp(*found) if found else (None, "")


def aperio_mpp(description: str) -> Pair | None:
    """From ``|MPP = 0.499`` in the description of an SVS."""
    match = re.search(r"\|\s*MPP\s*=\s*([0-9.eE+-]+)", description)
    return _numbers(match[1], match[1]) if match else None


def scn_mpp(xml: str, width: int, height: int) -> Pair | None:
    """From the view (nm) and pixels of the image of this size in Leica's XML."""
    for image in _elements(xml, "image"):
        pixels, view = _child(image, "pixels"), _child(image, "view")
        if pixels is None or view is None:
            continue
        if (pixels.get("sizeX"), pixels.get("sizeY")) == (str(width), str(height)):
            size_nm = _numbers(view.get("sizeX"), view.get("sizeY"))
            return size_nm and (size_nm[0] / 1000 / width, size_nm[1] / 1000 / height)
    return None


def philips_mpp(xml: str) -> Pair | None:
    """From the first, finest DICOM_PIXEL_SPACING (rows, columns, in mm) of Philips' XML."""
    for attribute in _elements(xml, "Attribute"):
        if attribute.get("Name") == "DICOM_PIXEL_SPACING" and attribute.text:
            values = re.findall(r"[0-9.eE+-]+", attribute.text)
            spacing_mm = _numbers(*values[1::-1]) if len(values) >= 2 else None
            if spacing_mm:
                return spacing_mm[0] * 1000, spacing_mm[1] * 1000
    return None


def ome_mpp(xml: str, width: int, height: int) -> Pair | None:
    """From PhysicalSizeX and Y, with their units, of the image of this size in OME-XML."""
    for pixels in _elements(xml, "Pixels"):
        if (pixels.get("SizeX"), pixels.get("SizeY")) != (str(width), str(height)):
            continue
        # The OME schema's default unit is the micron.
        unit_x = um_per_unit(pixels.get("PhysicalSizeXUnit", "um"))
        unit_y = um_per_unit(pixels.get("PhysicalSizeYUnit", "um"))
        size = _numbers(pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeY"))
        if size is None or unit_x is None or unit_y is None:
            return None
        return size[0] * unit_x, size[1] * unit_y
    return None


def imagej_mpp(metadata: dict[str, Any], per_unit: Pair | None) -> Pair | None:
    """From ImageJ's own unit and the resolution tags, which count pixels per that unit."""
    unit = um_per_unit(str(metadata.get("unit", "")))
    if unit is None or per_unit is None:
        return None
    return unit / per_unit[0], unit / per_unit[1]


def resolution_mpp(per_unit: Pair | None, resolution_unit: int) -> Pair | None:
    """From the resolution tags in pixels per inch (unit 2) or cm (3), where plausible."""
    length_um = {2: 25400.0, 3: 10000.0}.get(resolution_unit)
    if per_unit is None or length_um is None:
        return None
    found = length_um / per_unit[0], length_um / per_unit[1]
    return found if plausible_tag_mpp(*found) else None


def _tag_resolution(page: Any) -> Pair | None:
    """XResolution and YResolution as numbers above 0, or None."""
    values = []
    for name in ("XResolution", "YResolution"):
        value = page.tags.valueof(name)
        if not (isinstance(value, tuple) and len(value) == 2 and value[0] > 0 and value[1] > 0):
            return None
        values.append(value[0] / value[1])
    return values[0], values[1]


def _numbers(first: str | None, second: str | None) -> Pair | None:
    """Two texts as numbers, or None when one of them is missing or no number."""
    try:
        return float(first or ""), float(second or "")
    except ValueError:
        return None


def _elements(xml: str, name: str) -> list[ElementTree.Element]:
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return []
    return [e for e in root.iter() if e.tag.rsplit("}", 1)[-1] == name]


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element | None:
    return next((e for e in element if e.tag.rsplit("}", 1)[-1] == name), None)
