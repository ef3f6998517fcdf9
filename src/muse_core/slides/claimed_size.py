"""Size in pixels that a compressed tile claims, read before memory is allocated for it.

Image decoders trust the size in the tile's own header, whatever the TIFF says. Decoders of plain
bytes (Deflate, LZW and the like) take a limit and need no such check.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

_MAX_COMPONENTS = 4
_J2K_START = b"\xff\x4f\xff\x51"
_J2K_IN_BOX = b"jp2c"
_JXL_START = b"\xff\x0a"
_JXL_BOXES = (b"jxlc", b"jxlp")
_JXL_PART_NUMBER_BYTES = 4
_JXL_HEADER_BYTES = 16
_JXL_SIDE_BITS = (9, 13, 18, 30)
_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_JPEGXR_START = b"WMPHOTO\x00"
_JPEGXR_IMAGE_OFFSET = 0xBCC0
_JPEGXR_SHORT_HEADER = 0x80
_JPEG_NO_LENGTH = {0x00, 0x01, *range(0xD0, 0xD9)}
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9


def jpeg_px(data: bytes) -> int:
    """From the frame header; 0 where the TIFF is to say the size, as in NDPI."""
    at = 2
    while True:
        at = data.index(0xFF, at)
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if marker in _JPEG_NO_LENGTH:
            continue
        if marker in (_JPEG_SCAN, _JPEG_END):
            raise ValueError("no frame header")
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return int(height * width)
        at += struct.unpack_from(">H", data, at)[0]


def jpeg2000_px(data: bytes) -> int:
    """From a codestream, bare or in the boxes of a JP2 file."""
    at = 0 if data.startswith(_J2K_START) else _box(data, (_J2K_IN_BOX,))
    x1, y1, x0, y0 = struct.unpack_from(">4I", data, at + 8)
    (components,) = struct.unpack_from(">H", data, at + 40)
    if not data.startswith(_J2K_START, at) or components > _MAX_COMPONENTS:
        raise ValueError(f"no codestream of up to {_MAX_COMPONENTS} components")
    result: int = max(0, x1 - x0) * max(0, y1 - y0)
    return result


def jpeg2000_bits(data: bytes) -> int:
    """Bits of a sample of the first component of what :func:`jpeg2000_px` reads."""
    at = 0 if data.startswith(_J2K_START) else _box(data, (_J2K_IN_BOX,))
    return (data[at + 42] & 0x7F) + 1


def webp_px(data: bytes) -> int:
    """From the first chunk, of which there are three kinds."""
    kind = data[12:16]
    if kind == b"VP8X":
        sides = data[24:27], data[27:30]
        width, height = (1 + int.from_bytes(side, "little") for side in sides)
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return width * height


def png_px(data: bytes) -> int:
    """From the first chunk."""
    width, height = struct.unpack_from(">II", data, 16)
    return int(width * height)


def png_bits(data: bytes) -> int:
    """Bits of a sample, from the first chunk."""
    return data[24]


def jpegxr_px(data: bytes) -> int:
    """From the codestream, which is where the container's directory says; NDPI has such tiles."""
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    fields = (struct.unpack_from("<HHII", data, directory + 2 + 12 * i) for i in range(entries))
    at = next((value for tag, _, _, value in fields if tag == _JPEGXR_IMAGE_OFFSET), None)
    if at is None or not data.startswith(_JPEGXR_START, at):
        raise ValueError("no codestream")
    sides = ">HH" if data[at + 10] & _JPEGXR_SHORT_HEADER else ">II"
    width, height = struct.unpack_from(sides, data, at + 12)
    return int((width + 1) * (height + 1))


def jpegxl_px(data: bytes) -> int:
    """From the header of the codestream, bare or in boxes (ISO 18181-1, "SizeHeader")."""
    at = 0 if data.startswith(_JXL_START) else _box(data, _JXL_BOXES)
    if not data.startswith(_JXL_START, at):
        raise ValueError("no codestream")
    bits = _Bits(data[at + 2 : at + 2 + _JXL_HEADER_BYTES])
    eighths = bits.take(1)
    height = _jxl_side(bits, eighths)
    ratio = bits.take(3)
    if ratio == 0:
        return height * _jxl_side(bits, eighths)
    over, under = _JXL_RATIOS[ratio - 1]
    return height * (height * over // under)


def _jxl_side(bits: _Bits, eighths: int) -> int:
    if eighths:
        return 8 * (1 + bits.take(5))
    return 1 + bits.take(_JXL_SIDE_BITS[bits.take(2)])


class _Bits:
    """Bits from the lowest of the first byte on."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, n: int) -> int:
        """The next n bits as a number; raises ValueError at the end."""
        if n > self._left:
            raise ValueError("the header ends early")
        taken = self._value & ((1 << n) - 1)
        self._value >>= n
        self._left -= n
        return taken


def limited_px(data: bytes) -> int:
    """0: these decoders are given the size and do not read it from the data."""
    return 0


_LIMITED = (1, 5, 8, 32773, 32946, 34925, 34926, 50000)  # none, LZW, Deflate, PackBits, LZMA, Zstd
_JPEG = (6, 7, 33007)
_JPEG2000 = (33003, 33004, 33005, 34712)
_JPEGXR = (22610, 34934)
_WEBP = (34927, 50001)
_PNG = (34933,)
_JPEGXL = (50002, 52546)
CLAIMED_PX: dict[int, Callable[[bytes], int]] = {
    **dict.fromkeys(_LIMITED, limited_px),
    **dict.fromkeys(_JPEG, jpeg_px),
    **dict.fromkeys(_JPEG2000, jpeg2000_px),
    **dict.fromkeys(_JPEGXR, jpegxr_px),
    **dict.fromkeys(_WEBP, webp_px),
    **dict.fromkeys(_PNG, png_px),
    **dict.fromkeys(_JPEGXL, jpegxl_px),
}
"""For each TIFF compression that can be read; damaged data raise errors of any kind."""


def _box(data: bytes, kinds: Sequence[bytes]) -> int:
    """Return the offset of the codestream in a file of boxes (JP2, JPEG XL)."""
    at = 0
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + header)
            header = 16
        if kind in kinds:
            return at + header + (_JXL_PART_NUMBER_BYTES if kind == b"jxlp" else 0)
        if length < header:
            raise ValueError("no codestream")
        at += length
