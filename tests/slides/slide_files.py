"""Slides written in every format, each according to its specification."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from PIL import Image


def write_pyramid_tiff(path: Path, levels: list[np.ndarray], **options: Any) -> Path:
    """Consecutive tiled pages, as written by vips and many converters."""
    with tifffile.TiffWriter(path) as tif:
        for i, level in enumerate(levels):
            tif.write(
                level,
                tile=(128, 128),
                photometric="rgb",
                subfiletype=1 if i else 0,
                metadata=None,
                **options,
            )
    return path


def write_ome_tiff(path: Path, levels: list[np.ndarray], **metadata: Any) -> Path:
    """OME-TIFF whose levels are SubIFDs."""
    with tifffile.TiffWriter(path, ome=True) as tif:
        options: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb", "compression": "zlib"}
        tif.write(
            levels[0], subifds=len(levels) - 1, metadata={"axes": "YXS", **metadata}, **options
        )
        for level in levels[1:]:
            tif.write(level, subfiletype=1, **options)
    return path


def write_ome_zarr(
    folder: Path,
    levels: list[np.ndarray],
    version: str = "0.4",
    axes: str = "cyx",
    scale_um: Any = 0.5,
    unit: str | None = "micrometer",
    omero: dict[str, Any] | None = None,
) -> Path:
    """OME-Zarr according to the specification; levels are (y, x, 3)."""
    group = zarr.open_group(str(folder), mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for i, level in enumerate(levels):
        full = level.reshape((1, 1, *level.shape))  # t, z, y, x, c
        order = ["tzyxc".index(a) for a in axes]
        rest = [i for i in range(5) if i not in order]
        pixels = full.transpose([*rest, *order]).reshape([full.shape[i] for i in order])
        chunks = tuple(100 if a in "yx" else n for a, n in zip(axes, pixels.shape, strict=True))
        array = group.create_array(str(i), shape=pixels.shape, dtype=level.dtype, chunks=chunks)
        array[...] = pixels
        scale = [scale_um * 2**i if a in "yx" else 1.0 for a in axes]
        datasets.append(
            {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        )
    kinds = {"t": "time", "z": "space", "y": "space", "x": "space", "c": "channel"}
    described = [
        {"name": a, "type": kinds[a]} | ({"unit": unit} if unit and a in "yx" else {}) for a in axes
    ]
    multiscale: dict[str, Any] = {"axes": described, "datasets": datasets}
    extra = {"omero": omero} if omero else {}
    if version == "0.4":
        group.attrs.update({"multiscales": [{"version": "0.4", **multiscale}], **extra})
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [multiscale], **extra}
    return folder


def write_scn(path: Path, levels: list[np.ndarray], macro: np.ndarray, mpp: float) -> Path:
    """Leica SCN: the XML in the first page describes the other pages."""

    def image(name: str, pages: list[tuple[int, np.ndarray]], um_per_px: float) -> str:
        height, width = pages[0][1].shape[:2]
        dimensions = "".join(
            f'<dimension sizeX="{p.shape[1]}" sizeY="{p.shape[0]}" r="{r}" ifd="{ifd}"/>'
            for r, (ifd, p) in enumerate(pages)
        )
        nm = um_per_px * 1000
        return (
            f'<image name="{name}"><pixels sizeX="{width}" sizeY="{height}">{dimensions}</pixels>'
            f'<view sizeX="{width * nm:.0f}" sizeY="{height * nm:.0f}"/></image>'
        )

    pages = [macro, *levels]
    main = list(enumerate(levels, start=1))
    xml = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="c">{image("macro", [(0, macro)], 16.0)}{image("main", main, mpp)}'
        "</collection></scn>"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for i, page in enumerate(pages):
            tif.write(
                page,
                tile=(128, 128),
                photometric="rgb",
                description=xml if i == 0 else None,
                metadata=None,
            )
    return path


def write_ndpi(
    path: Path, levels: list[np.ndarray], mpp: float, z_offsets: Sequence[int] = ()
) -> Path:
    """Hamamatsu NDPI: one JPEG per level, cut at its restart markers.

    A TIFF with 64-bit offsets: each directory is followed by the high halves of its values. In a
    stack each page has its offset along z, and levels of one size are planes.
    """
    largest = max(level.shape[1] for level in levels)
    data = bytearray(b"II*\x00" + bytes(8))
    link = 4
    for i, level in enumerate(levels):
        stream = io.BytesIO()
        Image.fromarray(level).save(
            stream, "JPEG", quality=95, subsampling="4:4:4", restart_marker_blocks=8
        )
        jpeg = stream.getvalue()
        start = jpeg.index(b"\xff\xda")
        first = start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big")
        cuts = [first + m.end() for m in re.finditer(rb"\xff[\xd0-\xd7]", jpeg[first:])]
        jpeg_at = _append(data, jpeg)
        coarser = largest // level.shape[1]
        per_cm = round(10_000 / (mpp * coarser))
        height, width = level.shape[:2]
        values: dict[int, tuple[int, bytes]] = {
            256: (4, struct.pack("<I", width)),
            257: (4, struct.pack("<I", height)),
            258: (3, struct.pack("<3H", 8, 8, 8)),
            259: (3, struct.pack("<H", 7)),
            262: (3, struct.pack("<H", 6)),
            271: (2, b"Hamamatsu\x00"),
            273: (4, struct.pack("<I", jpeg_at)),
            277: (3, struct.pack("<H", 3)),
            278: (4, struct.pack("<I", height)),
            279: (4, struct.pack("<I", len(jpeg))),
            282: (5, struct.pack("<II", per_cm, 1)),
            283: (5, struct.pack("<II", per_cm, 1)),
            296: (3, struct.pack("<H", 3)),
            65420: (4, struct.pack("<I", 1)),
            65421: (11, struct.pack("<f", 20.0 / coarser)),
            **({65424: (9, struct.pack("<i", z_offsets[i]))} if z_offsets else {}),
            65426: (4, struct.pack(f"<{len(cuts) + 1}I", first, *cuts)),
        }
        entries = b""
        for tag, (kind, raw) in values.items():
            count = len(raw) // {2: 1, 3: 2, 4: 4, 5: 8, 9: 4, 11: 4}[kind]
            value = raw.ljust(4, b"\x00") if len(raw) <= 4 else None
            value = value or struct.pack("<I", _append(data, raw))
            entries += struct.pack("<HHI", tag, kind, count) + value
        directory = struct.pack("<H", len(values)) + entries
        at = _append(data, directory + bytes(8) + bytes(4 * len(values)))
        data[link : link + 8] = struct.pack("<Q", at)
        link = at + len(directory)
    path.write_bytes(data)
    return path


def write_mrxs(path: Path, levels: list[np.ndarray], at: tuple[int, int], mpp: float) -> Path:
    """3DHISTECH MRXS of one data file: tissue of whole tiles somewhere on a slide of 40 x 60.

    Args:
        path: Target ``.mrxs``; its folder of the same stem is written beside it.
        levels: The tissue and its downsampled copies, whose sides are multiples of the tile.
        at: Column and row of the tissue's first tile; both multiples of the coarsest level.
        mpp: Microns per pixel.
    """
    across, down, tile, uid = 40, 60, 256, "0" * 32
    folder = path.with_suffix("")
    folder.mkdir()
    path.write_bytes(b"\xff\xd8\xff\xd9")
    data, records = bytearray(64), []
    for k, level in enumerate(levels):
        step, rows = 2**k, []
        for r in range(level.shape[0] // tile):
            for c in range(level.shape[1] // tile):
                stream = io.BytesIO()
                piece = level[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile]
                Image.fromarray(piece).save(stream, "JPEG", quality=95)
                number = (at[1] + r * step) * across + at[0] + c * step
                rows.append((number, len(data), stream.tell(), 0))
                data += stream.getvalue()
        records.append(rows)
    (folder / "Data0000.dat").write_bytes(data)
    n = len(levels)
    ini = {
        "GENERAL": {"SLIDE_VERSION": "01.02", "SLIDE_ID": uid, "IMAGENUMBER_X": across}
        | {"IMAGENUMBER_Y": down, "OBJECTIVE_MAGNIFICATION": 20, "CameraImageDivisionsPerSide": 1},
        "HIERARCHICAL": {"HIER_COUNT": 1, "NONHIER_COUNT": 0, "INDEXFILE": "Index.dat"}
        | {"HIER_0_NAME": "Slide zoom level", "HIER_0_COUNT": n}
        | {f"HIER_0_VAL_{k}": f"ZoomLevel_{k}" for k in range(n)}
        | {f"HIER_0_VAL_{k}_SECTION": f"LAYER_0_LEVEL_{k}_SECTION" for k in range(n)},
        "DATAFILE": {"FILE_COUNT": 1, "FILE_0": "Data0000.dat"},
    }
    for k in range(n):
        ini[f"LAYER_0_LEVEL_{k}_SECTION"] = {
            **{f"OVERLAP_{a}": 0 for a in "XY"},
            **{f"MICROMETER_PER_PIXEL_{a}": mpp * 2**k for a in "XY"},
            **{"IMAGE_FORMAT": "JPEG", "IMAGE_FILL_COLOR_BGR": 0xFFFFFF},
            **{"DIGITIZER_WIDTH": tile, "DIGITIZER_HEIGHT": tile},
            "IMAGE_CONCAT_FACTOR": int(k > 0),
        }
    lines = []
    for section, values in ini.items():
        lines += [f"[{section}]", *(f"{key}={value}" for key, value in values.items())]
    (folder / "Slidedat.ini").write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    start = b"01.02" + uid.encode()
    first = len(start) + 8
    pages, places = b"", []
    for rows in records:
        place = first + 4 * n + len(pages)
        places.append(place)
        pages += struct.pack("<4i", 0, place + 8, len(rows), 0)
        pages += b"".join(struct.pack("<4i", *row) for row in rows)
    head = start + struct.pack("<2i", first, 0) + struct.pack(f"<{n}i", *places)
    (folder / "Index.dat").write_bytes(head + pages)
    return path


def _append(data: bytearray, more: bytes) -> int:
    """Write the bytes at an even offset, and return it."""
    data.extend(b"\x00" * (len(data) % 2))
    at = len(data)
    data.extend(more)
    return at
