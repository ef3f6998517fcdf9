"""Recognise the TIFF of scanners whose tiles overlap, which OpenSlide alone puts together."""

from __future__ import annotations

import re
from typing import Any

import tifffile

from muse_core.errors import UserError
from muse_core.slides.tiff.mpp import xmp_text

_VENTANA = "<iScan"
_JOINT = re.compile(r"""\bOverlap[XY]\s*=\s*["']\s*-?0*[1-9]""")
"""Of an element TileJointInfo in Ventana's XML: pixels that two tiles have in common."""
_TRESTLE = "MedScan"
_OVERLAPS = re.compile(r"\bOverlapsXY=[ 0]*[1-9]")


class OverlappingTilesError(UserError):
    """The tiles are no mosaic: side by side they would show the seams twice, and lie too far on."""


def require_mosaic(tif: tifffile.TiffFile, name: str) -> None:
    """Refuse a file whose tiles overlap.

    Args:
        tif: The file.
        name: For the message.

    Raises:
        OverlappingTilesError: It is Ventana's or Trestle's and says so.
    """
    if _is_overlapping(tif):
        raise OverlappingTilesError(
            f"{name} is made of tiles that overlap, which only OpenSlide puts together, of files on"
            " this computer; fetch it first."
        )


def _is_overlapping(tif: tifffile.TiffFile) -> bool:
    first: Any = tif.pages.first
    if str(first.software).startswith(_TRESTLE):
        return _OVERLAPS.search(first.description) is not None
    if _VENTANA not in xmp_text(first):
        return False
    return any(_JOINT.search(xmp_text(page)) for page in tif.pages)
