"""Microns per pixel from what the makers of TIFF files write."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

import tifffile

from muse_core.slides.mpp import MAX_ANISOTROPY, combine_mpp, plausible_tag_mpp
from muse_core.slides.ome_xml import nth, ome_pixels
from muse_core.slides.stated import NoLengthError, first_length_um, stated_number
from muse_core.slides.units import um_per_unit

Pair = tuple[float, float]
_UM_PER_RESOLUTION_UNIT = {2: 25400.0, 3: 10000.0, 4: 1000.0, 5: 1.0}
"""TIFF knows inch and centimetre; programs add millimetre and micrometre."""
_XMP = 700
_APERIO_SIZE = re.compile(
    r"^(\d{1,9})x(\d{1,9})(?: \[\d+,\d+[ ,](\d{1,9})x(\d{1,9})\])?", re.MULTILINE
)
"""Size of the scan in the description of an SVS, and of the part of it that the file holds."""
_SMALLEST_PX = 16
"""Smaller sizes stand for none in descriptions that other programs write."""
_LONGEST_XMP = 1 << 26


def is_aperio(tif: tifffile.TiffFile) -> bool:
    """Whether the first page has Aperio's description.

    tifffile's ``TiffFile.is_svs`` also asks for tiles since 2026, which regions of a slide that
    were saved as strips with that description lack.
    """
    return bool(tif.pages.first.is_svs)


def tiff_mpp(
    tif: tifffile.TiffFile, series: Any, which: tuple[int, int] = (0, 1)
) -> tuple[float | None, str]:
    """Microns per pixel of a series' full resolution.

    The maker's own metadata come first. The resolution tags of TIFF count only with a real unit
    and a value that can come from a microscope (see :data:`muse_core.slides.mpp.MAX_TAG_MPP`), for
    most programs write 72 or 96 dpi there. Nothing is derived from a magnification.

    Args:
        tif: The file.
        series: One of its series.
        which: Index, from 0, and count of the series among those of its size.

    Returns:
        See :func:`muse_core.slides.mpp.combine_mpp`; from the first place that gives a scale, or
        else the note of the first place that has metadata on it.
    """
    page = series.keyframe
    if is_aperio(tif):
        stated = resized_from(page.description, page.imagewidth, page.imagelength)
        if stated is not None:
            # Nor do the programs that copy the description correct the tags.
            return None, f"its metadata are of a copy of {stated[0]} x {stated[1]} px"
    tags = resolution_mpp(_tag_resolution(page), int(page.resolutionunit or 1))
    try:
        found = [combine_mpp(*pair) for pair in (_makers_mpp(tif, page, which), tags) if pair]
    except NoLengthError as error:
        found = [(None, str(error)), *([combine_mpp(*tags)] if tags else [])]
    return next((f for f in found if f[0] is not None), found[0] if found else (None, ""))


def _makers_mpp(tif: tifffile.TiffFile, page: Any, which: tuple[int, int]) -> Pair | None:
    if is_aperio(tif):
        return aperio_mpp(page.description)
    if tif.is_scn:
        return scn_mpp(tif.scn_metadata or "", page.imagewidth, page.imagelength, which)
    if tif.is_philips:
        return philips_mpp(tif.philips_metadata or "")
    if tif.is_ome:
        return ome_mpp(tif.ome_metadata or "", page.imagewidth, page.imagelength, which)
    if tif.is_imagej:
        return imagej_mpp(tif.imagej_metadata or {}, _tag_resolution(page))
    if tif.is_qpi:
        return qptiff_mpp(page.description)
    return ventana_mpp(_ventana_xml(tif))


def aperio_mpp(description: str) -> Pair | None:
    """From ``|MPP = 0.499`` in the description of an SVS; raises NoLengthError."""
    fields = (field.partition("=") for field in description.split("|")[1:])
    return _square("MPP", (value for key, _, value in fields if key.strip() == "MPP"))


def resized_from(description: str, width: int, height: int) -> tuple[int, int] | None:
    """Size in an SVS description if an image is a smaller or larger copy of one of that size.

    Programs that resize a slide copy the description, whose scale is then no longer true. That of a
    part that was cut out still is.

    Args:
        description: Of Aperio.
        width: Of the image, pixels.
        height: Of the image, pixels.
    """
    found = _APERIO_SIZE.search(description)
    if found is None:
        return None
    whole_w, whole_h = int(found[3] or found[1]), int(found[4] or found[2])
    if min(whole_w, whole_h) < _SMALLEST_PX or abs(width / whole_w - 1) < MAX_ANISOTROPY:
        return None
    # Rounding makes a difference of up to a pixel on each side.
    same_shape = abs(whole_w * height - whole_h * width) <= max(whole_w, whole_h)
    return (whole_w, whole_h) if same_shape else None


def ventana_mpp(xml: str) -> Pair | None:
    """From ScanRes, microns per pixel, of iScan in Ventana's XML; raises NoLengthError."""
    match = re.search(r"""\bScanRes\s*=\s*("[^"]*"|'[^']*')""", xml)
    return _square("ScanRes", (match[1][1:-1],) if match else ())


def qptiff_mpp(xml: str) -> Pair | None:
    """From PixelSizeMicrons in the XML of Akoya's and PerkinElmer's scanners.

    Raises:
        NoLengthError: It is no length.
    """
    name = "PixelSizeMicrons"
    return _square(name, (element.text for element in _elements(xml, name)))


def _square(name: str, texts: Iterable[object]) -> Pair | None:
    """The same for both axes; see :func:`muse_core.slides.stated.first_length_um`."""
    mpp = first_length_um(name, texts)
    return None if mpp is None else (mpp, mpp)


def scn_mpp(xml: str, width: int, height: int, which: tuple[int, int] = (0, 1)) -> Pair | None:
    """From the view (nm) and pixels of the image of this size in Leica's XML.

    Args:
        xml: Description of the first page.
        width: Of the image, pixels.
        height: Of the image, pixels.
        which: Index, from 0, and count of the image among those of its size.
    """
    sizes_nm = []
    for image in scn_images(xml, width, height):
        view = _child(image, "view")
        sizes_nm.append(None if view is None else _pair(view.get("sizeX"), view.get("sizeY")))
    size_nm = nth(sizes_nm, which)
    return None if size_nm is None else (size_nm[0] / 1000 / width, size_nm[1] / 1000 / height)


def scn_images(xml: str, width: int, height: int) -> list[ElementTree.Element]:
    """The elements image of a size in Leica's XML, in the order of the file."""
    size = (str(width), str(height))
    found = []
    for image in _elements(xml, "image"):
        pixels = _child(image, "pixels")
        if pixels is not None and (pixels.get("sizeX"), pixels.get("sizeY")) == size:
            found.append(image)
    return found


def philips_mpp(xml: str) -> Pair | None:
    """From the first, finest DICOM_PIXEL_SPACING (rows, columns, in mm) of Philips' XML.

    Raises:
        NoLengthError: It is no length.
    """
    for attribute in _elements(xml, "Attribute"):
        if attribute.get("Name") == "DICOM_PIXEL_SPACING" and attribute.text:
            # Two texts in quotes, or DICOM's own list.
            values = re.findall(r'"([^"]*)"', attribute.text) or attribute.text.split("\\")
            pair = (*values, None, None)[:2]
            rows, columns = (first_length_um("DICOM_PIXEL_SPACING", (v,), "mm") for v in pair)
            if rows is not None and columns is not None:
                return columns, rows
    return None


def ome_mpp(xml: str, width: int, height: int, which: tuple[int, int] = (0, 1)) -> Pair | None:
    """From PhysicalSizeX and Y, with their units, of the image of this size in OME-XML.

    Args:
        xml: OME-XML.
        width: Of the image, pixels.
        height: Of the image, pixels.
        which: Index, from 0, and count of the image among those of its size.

    Raises:
        NoLengthError: One of them is no length, as in pixels.
    """
    stated = nth([_physical_size(pixels) for pixels in ome_pixels(xml, width, height)], which)
    if stated is None:
        return None
    # The OME schema's default unit is the micron.
    x, y = (first_length_um(name, (text,), unit or "um") for name, text, unit in stated)
    return None if x is None or y is None else (x, y)


def _physical_size(pixels: ElementTree.Element) -> list[tuple[str, str | None, str | None]]:
    """Name, text and unit of the sizes along x and y."""
    names = (f"PhysicalSize{axis}" for axis in "XY")
    return [(name, pixels.get(name), pixels.get(f"{name}Unit")) for name in names]


def imagej_mpp(metadata: dict[str, object], per_unit: Pair | None) -> Pair | None:
    """From ImageJ's own unit and the resolution tags, which count pixels per that unit.

    Inches and centimetres are what ImageJ makes of the dots per inch of a picture it has opened, so
    they count only where the tags alone would.
    """
    unit = um_per_unit(str(metadata.get("unit", "")))
    if unit is None or per_unit is None:
        return None
    found = unit / per_unit[0], unit / per_unit[1]
    of_print = unit in (_UM_PER_RESOLUTION_UNIT[2], _UM_PER_RESOLUTION_UNIT[3])
    return found if not of_print or plausible_tag_mpp(*found) else None


def resolution_mpp(per_unit: Pair | None, resolution_unit: int) -> Pair | None:
    """From the resolution tags in pixels per inch (2), cm (3), mm (4), um (5), where plausible."""
    length_um = _UM_PER_RESOLUTION_UNIT.get(resolution_unit)
    if per_unit is None or length_um is None:
        return None
    found = length_um / per_unit[0], length_um / per_unit[1]
    return found if plausible_tag_mpp(*found) else None


def _tag_resolution(page: Any) -> Pair | None:
    """XResolution and YResolution as numbers above 0, or None."""
    values = []
    for name in ("XResolution", "YResolution"):
        value = page.tags.valueof(name)
        if isinstance(value, int | float):
            # Some programs write a plain number where a fraction belongs.
            value = (value, 1)
        if not (isinstance(value, tuple) and len(value) == 2 and value[0] > 0 and value[1] > 0):
            return None
        values.append(value[0] / value[1])
    return values[0], values[1]


def _pair(first: str | None, second: str | None) -> Pair | None:
    """Two texts as numbers, or None when one of them is missing or no number."""
    x, y = stated_number(first), stated_number(second)
    return None if x is None or y is None else (x, y)


def _ventana_xml(tif: tifffile.TiffFile) -> str:
    """The XML of Ventana's scanners, which stands in the XMP of the first page or its text."""
    page: Any = tif.pages.first
    return next((t for t in (xmp_text(page), page.description) if "<iScan" in t), "")


def xmp_text(page: Any) -> str:
    """The XMP of a page of tifffile, "" where there is none or it is too long to be one."""
    tags = getattr(page, "tags", {})
    tag = tags.get(_XMP)
    raw = tag.value if tag is not None and tag.count <= _LONGEST_XMP else b""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""


def _elements(xml: str, name: str) -> list[ElementTree.Element]:
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return []
    return [e for e in root.iter() if e.tag.rsplit("}", 1)[-1] == name]


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element | None:
    return next((e for e in element if e.tag.rsplit("}", 1)[-1] == name), None)
