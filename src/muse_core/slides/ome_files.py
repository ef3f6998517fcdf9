"""Whether an OME-TIFF is whole, or one of several files that name each other."""

from __future__ import annotations

from xml.etree import ElementTree


def spans_files(xml: str) -> bool:
    """Whether OME-XML places planes of its images in more than one file.

    Args:
        xml: The OME-XML of a TIFF; "" where there is none.
    """
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return False
    # Each file has a UUID; names do not count, for files are renamed.
    files = {e.text for e in root.iter() if e.tag.rsplit("}", 1)[-1] == "UUID"}
    own = {root.attrib["UUID"]} if "UUID" in root.attrib else set()
    return bool(files) and len(files | own) > 1
