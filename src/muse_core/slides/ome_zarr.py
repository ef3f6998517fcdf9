"""OME-Zarr 0.4 (Zarr v2) and 0.5 (Zarr v3), from a local folder."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from muse_core.errors import UserError
from muse_core.files import is_litter
from muse_core.slides.channels import check_channels
from muse_core.slides.mpp import combine_mpp
from muse_core.slides.pixels import Alpha, Colours, Samples
from muse_core.slides.sampled_level import SampledLevel, settle_intensity
from muse_core.slides.slide import SlideSource, pyramid
from muse_core.slides.stated import stated_number
from muse_core.slides.units import um_per_unit

_PIECE_PX = 512
"""Small chunks are fetched together up to this size, since every request to zarr costs time."""
_TYPES = ("u1", "u2", "f2", "f4", "f8")
_SMALL_CHUNK_PX, _MAX_SMALL_CHUNKS = 16, 1 << 16
"""Chunks that small make thousands of requests of one piece; coarse levels may have some."""


def open_ome_zarr(path: Path) -> SlideSource:
    """Open the first image of an OME-Zarr folder; only metadata are read.

    Axes are taken by their names: RGB may come first (c, y, x) or last (y, x, c), further axes
    must have length 1. The scale is read where the metadata give a unit of length.

    Raises:
        UserError: The folder is no OME-Zarr, or not 8-bit RGB or gray.
        PermissionError: A file in it may not be read.
    """
    try:
        return _open(zarr.open_group(str(path), mode="r"), path)
    except (UserError, PermissionError):
        raise
    except Exception as error:
        # zarr raises its own errors, KeyError, JSONDecodeError and more on broken metadata.
        raise UserError(f"{path.name} is not a readable OME-Zarr image.") from error


def _open(group: Any, path: Path) -> SlideSource:
    metadata = _ome(group)
    if "plate" in metadata:
        raise UserError(f"{path.name} is a plate of many images; open one image inside it.")
    if "bioformats2raw.layout" in metadata and "multiscales" not in metadata:
        version = metadata.get("version")
        group = group["0"]
        metadata = {"version": version, **_ome(group)}
    if not metadata.get("multiscales"):
        raise UserError(f"{path.name} is a Zarr folder without OME-Zarr image metadata.")
    multiscale = metadata["multiscales"][0]
    version = multiscale.get("version") or metadata.get("version")
    if "axes" not in multiscale:
        raise UserError(f"{path.name} is OME-Zarr {version}; only 0.4 and 0.5 can be read.")
    axes = [axis["name"].lower() for axis in multiscale["axes"]]
    names = [str(c.get("label", "")) for c in metadata.get("omero", {}).get("channels", [])]
    levels = [
        ZarrLevel(group[dataset["path"]], axes, names, path.name)
        for dataset in multiscale["datasets"]
    ]
    first = group[multiscale["datasets"][0]["path"]]
    if not _has_chunks(path / first.path):
        raise UserError(f"{path.name} is incomplete: it has metadata but no pixels.")
    kept, downsamples = pyramid(levels)
    notes = settle_intensity(kept)
    mpp, note = combine_mpp(*_scale_um(multiscale))
    return SlideSource(path, f"OME-Zarr {version}", kept, downsamples, mpp, note, notes=notes)


def _ome(group: Any) -> dict[str, Any]:
    """The OME metadata: below "ome" since 0.5, at the top before."""
    attributes = dict(group.attrs)
    return dict(attributes.get("ome", attributes))


def _has_chunks(folder: Path) -> bool:
    """Whether an array's folder holds more than metadata; looks at few entries only."""
    with os.scandir(folder) as entries:
        return any(
            e.name not in (".zarray", ".zattrs", "zarr.json") and not is_litter(e.name)
            for e in entries
        )


def _scale_um(multiscale: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Microns per pixel of the finest level along x and y, None without a unit."""
    axes = multiscale["axes"]
    scale = [1.0] * len(axes)
    found = False
    for holder in (multiscale["datasets"][0], multiscale):
        for transform in holder.get("coordinateTransformations", []):
            if transform.get("type") == "scale":
                factors = [stated_number(f) for f in transform["scale"]]
                scale = [
                    a * (math.nan if f is None else f) for a, f in zip(scale, factors, strict=True)
                ]
                found = True
    by_name = {}
    for axis, value in zip(axes, scale, strict=True):
        unit = um_per_unit(str(axis.get("unit", "")))
        by_name[axis["name"].lower()] = value * unit if unit and found else None
    return by_name.get("x"), by_name.get("y")


class ZarrLevel(SampledLevel):
    """A Zarr array with named axes as RGB pieces."""

    def __init__(
        self, array: zarr.Array, axes: Sequence[str], channel_names: Sequence[str], name: str
    ) -> None:
        if len(axes) != array.ndim or not {"x", "y"} <= set(axes):
            raise UserError(f"{name} is damaged: its axes {', '.join(axes)} do not fit its array.")
        sizes = dict(zip(axes, array.shape, strict=True))
        stacked = {a: n for a, n in sizes.items() if a not in "yxc" and n != 1}
        if stacked:
            text = ", ".join(f"{a} {n}" for a, n in stacked.items())
            raise UserError(f"{name} is a stack ({text}); only single 2-D images can be read.")
        if array.dtype.str[1:] not in _TYPES:
            raise UserError(
                f"{name} has pixels of type {array.dtype}; only 8 and 16-bit and floating point "
                "can be read."
            )
        channels = sizes.get("c", 1)
        # Interleaved fours are RGBA; four planes are four stains.
        if not (channels == 4 and axes[-1] == "c"):
            check_channels(channels, channel_names, name)
        chunks = dict(zip(axes, array.chunks, strict=True))
        many = math.prod(-(-sizes[a] // chunks[a]) for a in "yx") > _MAX_SMALL_CHUNKS
        if many and min(chunks["y"], chunks["x"]) < _SMALL_CHUNK_PX:
            raise UserError(
                f"{name} is stored in chunks of {chunks['x']} x {chunks['y']} pixels, "
                "which are too small to read; save it with larger ones."
            )
        super().__init__(
            name,
            sizes["y"],
            sizes["x"],
            chunks["y"] * max(1, _PIECE_PX // chunks["y"]),
            chunks["x"] * max(1, _PIECE_PX // chunks["x"]),
            Samples(
                Colours.GRAY if channels == 1 else Colours.RGB,
                # OME-Zarr has no word for alpha.
                Alpha.UNSPECIFIED if channels == 4 else Alpha.NONE,
                needs_scaling=array.dtype != np.uint8,
            ),
            array.dtype,
        )
        self._array, self._axes = array, tuple(axes)
        kept = [a for a in axes if a in "yxc"]
        self._order = [kept.index(a) for a in ("y", "x", "c") if a in kept]

    def _stored(self, row: int, col: int) -> np.ndarray:
        top, left = row * self.piece_h, col * self.piece_w
        spans = {
            "y": slice(top, min(top + self.piece_h, self.height)),
            "x": slice(left, min(left + self.piece_w, self.width)),
            "c": slice(None),
        }
        pixels = np.asarray(self._array[tuple(spans.get(a, 0) for a in self._axes)])
        pixels = pixels.transpose(self._order)
        return pixels if pixels.ndim == 3 else pixels[:, :, None]
