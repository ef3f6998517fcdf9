"""Colours of Aperio's JPEG 2000 tiles of compression 33003, whose components are Y, Cb and Cr."""

from __future__ import annotations

import struct

APERIO_YCBCR = 33003
"""TIFF compression; 33005 has its colour transform in the codestream and decodes to RGB."""
_START_AND_SIZE = b"\xff\x4f\xff\x51"
_COUNT_AT, _COMPONENTS_AT = 40, 42
_CODING_STYLE, _TILE = 0xFF52, 0xFF90
_TRANSFORM_AT = 8


def decodes_to_ycbcr(codestream: bytes) -> bool:
    """Whether a decoder of JPEG 2000 leaves the pixels of a 33003 tile in YCbCr.

    Nothing in the codestream names its colours. Decoders take reduced chroma for a sign of YCbCr
    and convert it themselves, and they undo a colour transform that the codestream declares.

    Args:
        codestream: A whole tile; one in a JP2 file says its colours itself.
    """
    if not codestream.startswith(_START_AND_SIZE):
        return False
    (count,) = struct.unpack_from(">H", codestream, _COUNT_AT)
    # Of each component: bits, horizontal step, vertical step.
    components = codestream[_COMPONENTS_AT : _COMPONENTS_AT + 3 * count]
    full_chroma = set(components[1::3]) | set(components[2::3]) == {1}
    return count == 3 and full_chroma and not _has_transform(codestream)


def _has_transform(codestream: bytes) -> bool:
    """Return whether the coding style, in the main header, states a colour transform."""
    at = 2
    while True:
        marker, length = struct.unpack_from(">HH", codestream, at)
        if marker == _TILE:
            return False
        if marker == _CODING_STYLE:
            return codestream[at + _TRANSFORM_AT] == 1
        at += 2 + length
