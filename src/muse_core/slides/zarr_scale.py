"""Microns per pixel from the metadata of an OME-Zarr image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from muse_core.slides.mpp import combine_mpp
from muse_core.slides.stated import stated_number
from muse_core.slides.units import um_per_unit


def zarr_mpp(multiscale: Mapping[str, Any]) -> tuple[float | None, str]:
    """As :func:`muse_core.slides.mpp.combine_mpp`, of the finest level.

    Args:
        multiscale: An entry of "multiscales".
    """
    return combine_mpp(*_scale_um(multiscale))


def finest_first(datasets: Any, axes: Any) -> Any:
    """Sort the levels of an image by the scale that each states along x and y, finest first.

    The order is kept if a level states no scale.

    Args:
        datasets: The "datasets" of an entry of "multiscales", possibly damaged.
        axes: Its "axes", as they are since 0.4, possibly damaged.
    """
    try:
        in_plane = [str(axis["name"]).lower() in ("x", "y") for axis in axes]
        return sorted(datasets, key=lambda dataset: _stated_size(dataset, in_plane))
    except (AttributeError, LookupError, TypeError, ValueError):
        return datasets


def _stated_size(dataset: Mapping[str, Any], in_plane: Sequence[bool]) -> float:
    """The area of a pixel, up to a factor that all levels share; a LookupError without any.

    Other axes do not count: some programs write the interval of time at the first level alone.
    """
    for transform in dataset["coordinateTransformations"]:
        if transform.get("type") == "scale":
            factors = zip(transform["scale"], in_plane, strict=True)
            size = math.prod(float(factor) for factor, counts in factors if counts)
            if size > 0:
                return size
    raise LookupError("coordinateTransformations")


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
