"""Telling RGB from fluorescence by the number and names of channels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from muse_core.errors import UserError

_RGB_NAME = re.compile(r"r|g|b|a|red|green|blue|alpha|rgb|brightfield|(channel|ch|c)?[ _:]*[\d:]*")


def check_channels(count: int, names: Sequence[str], file_name: str) -> None:
    """Accept one channel (gray) or three that are RGB as far as their names tell.

    Args:
        count: Number of separate channels.
        names: Their names in the metadata, where there are any.
        file_name: For the message.

    Raises:
        UserError: The image looks like fluorescence.
    """
    # A stain's name gives fluorescence away; no name, a number or a colour leaves RGB.
    stains = [n for n in names if not _RGB_NAME.fullmatch(n.strip().lower())]
    if count not in (1, 3) or (count == 3 and stains):
        named = f" ({', '.join(stains[:5])})" if stains else ""
        raise UserError(
            f"{file_name} has {count} channels{named} like a fluorescence image; "
            "only RGB and gray images can be read."
        )


def ome_channel_names(xml: str) -> list[str]:
    """Names of the channels of the first image in OME-XML that has any."""
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return []
    for pixels in root.iter():
        if pixels.tag.rsplit("}", 1)[-1] == "Pixels":
            names = [c.get("Name", "") for c in pixels if c.tag.rsplit("}", 1)[-1] == "Channel"]
            if any(names):
                return names
    return []
