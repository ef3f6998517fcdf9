"""Layouts of pages that tifffile takes for those of another program."""

from __future__ import annotations

import re
from typing import Any

import tifffile

_PIXELS = re.compile(r"<((?:\w+:)?)Pixels\b[^>]*?(?:/>|>.*?</\1Pixels\s*>)", re.DOTALL)
_MOST_BETWEEN = 8
"""Largest factor between two levels."""
_BEGIN = re.compile(r"<(?:\w+:)?Pixels\b")


class _NotAperio(tifffile.TiffFile):  # type: ignore[misc]  # final by annotation only
    """A file whose pages are not laid out as its description says.

    Versions of tifffile of 2026 fail with ``is_svs=False``, their own option for it.
    """

    is_svs = False


def layout_options(tif: tifffile.TiffFile) -> tuple[type[tifffile.TiffFile], dict[str, Any]]:
    """How to open a file so that tifffile finds the images that it would misunderstand.

    Args:
        tif: The file, opened as a :class:`tifffile.TiffFile` without options.

    Returns:
        The class to open it with, and keyword arguments; TiffFile and none for most files.
    """
    opener = _NotAperio if tif.is_svs and _is_pyramid_of_another(tif) else tifffile.TiffFile
    xml = with_planes(tif.ome_metadata or "") if tif.is_ome else None
    return opener, {} if xml is None else {"omexml": xml}


def with_planes(xml: str) -> str | None:
    """OME-XML that says that the planes of its only image lie one behind the other.

    That is how libvips' users write it, without an element TiffData, and how Bio-Formats reads it.

    Returns:
        The XML, or None where it needs no change or has several images.
    """
    found = _PIXELS.search(xml) if len(_BEGIN.findall(xml)) == 1 else None
    if found is None or "TiffData" in xml:
        return None
    whole, prefix = found[0], found[1]
    planes = f"<{prefix}TiffData/></{prefix}Pixels>"
    head = whole.removesuffix("/>") + ">" if whole.endswith("/>") else whole[: whole.rindex("</")]
    return xml[: found.start()] + head + planes + xml[found.end() :]


def _is_pyramid_of_another(tif: tifffile.TiffFile) -> bool:
    """Whether a file with the description of an SVS has its levels where no SVS has them.

    That is below the first page, or in the second, which in a scanner's slide is the thumbnail:
    hardly ever tiled, and much smaller than the first.
    """
    first: Any = tif.pages.first
    if first.subifds:
        return True
    second: Any = tif.pages[1] if len(tif.pages) > 1 else None
    return bool(
        second and second.is_tiled and second.imagewidth * _MOST_BETWEEN >= first.imagewidth
    )
