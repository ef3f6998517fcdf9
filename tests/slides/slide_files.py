"""Slides written in every format, each by the letter of its specification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr


def write_pyramid_tiff(path: Path, levels: list[np.ndarray], **options: Any) -> Path:
    """Consecutive pages, tiled, as vips and many converters write them."""
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
    scale_um: float = 0.5,
    unit: str | None = "micrometer",
    omero: dict[str, Any] | None = None,
) -> Path:
    """OME-Zarr by the letter of the specification; levels are (y, x, 3)."""
    group = zarr.open_group(str(folder), mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for i, level in enumerate(levels):
        full = level.reshape((1, 1, *level.shape))  # t, z, y, x, c
        order = ["tzyxc".index(a) for a in axes]
        rest = [i for i in range(5) if i not in order]
        pixels = full.transpose([*rest, *order]).reshape([full.shape[i] for i in order])
        chunks = tuple(100 if a in "yx" else n for a, n in zip(axes, pixels.shape, strict=True))
        array = group.create_array(str(i), shape=pixels.shape, dtype="u1", chunks=chunks)
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
