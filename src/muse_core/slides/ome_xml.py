"""Read OME-XML: whether a TIFF is whole, and its images and channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from xml.etree import ElementTree

_T = TypeVar("_T")


def spans_files(xml: str) -> bool:
    """Whether OME-XML places planes of its images in more than one file.

    Args:
        xml: The OME-XML of a TIFF; "" where there is none.
    """
    root = _root(xml)
    if root is None:
        return False
    # Each file has a UUID; names do not count, for files are renamed.
    files = {e.text for e in root.iter() if _tag(e) == "UUID"}
    own = {root.attrib["UUID"]} if "UUID" in root.attrib else set()
    return bool(files) and len(files | own) > 1


def ome_pixels(xml: str, width: int, height: int) -> list[ElementTree.Element]:
    """The elements Pixels of the images of a size, in the order of the file."""
    root = _root(xml)
    size = (str(width), str(height))
    if root is None:
        return []
    return [
        e for e in root.iter() if _tag(e) == "Pixels" and (e.get("SizeX"), e.get("SizeY")) == size
    ]


def ome_channel_names(pixels: ElementTree.Element) -> list[str]:
    """Return the name of each channel of an element Pixels, and signs of fluorescence."""
    names = []
    for channel in pixels:
        if _tag(channel) != "Channel":
            continue
        said = [channel.get("Name", ""), channel.get("Fluor", "")]
        said += [channel.get(key, "") for key in ("ContrastMethod", "IlluminationType")]
        if channel.get("EmissionWavelength"):
            said.append(f"{channel.get('EmissionWavelength')} nm")
        names.append(" ".join(dict.fromkeys(s.strip() for s in said if s.strip())))
    return names if any(names) else []


def ome_image_names(xml: str) -> list[str]:
    """The names of the images in OME-XML, in the order of the file."""
    root = _root(xml)
    if root is None:
        return []
    return [e.get("Name", "") for e in root.iter() if _tag(e) == "Image"]


def nth(found: Sequence[_T], which: tuple[int, int]) -> _T | None:
    """Return the metadata of one image among several of the same size.

    Args:
        found: Metadata of the images of that size, in their order.
        which: Index, from 0, and count of the image among those of that size.
    """
    index, count = which
    if len(found) == count:
        return found[index]
    # Some have been left out: certain only where all are the same.
    return found[0] if found and all(f == found[0] for f in found) else None


def _root(xml: str) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return None


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]
