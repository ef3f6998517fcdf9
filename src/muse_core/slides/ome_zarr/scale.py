"""Microns per pixel from the metadata of an OME-Zarr image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from muse_core.slides.level import Level
from muse_core.slides.mpp import combine_mpp
from muse_core.slides.stated import stated_number
from muse_core.slides.units import um_per_unit

_SHOWN = 40
_ROUNDED_PX = 2.0
"""Most pixels of a level that rounding of its sides explains."""


class _Place(NamedTuple):
    """Where an axis begins and how large its pixels are, in the unit of the file."""

    scale: float
    start: float


def zarr_mpp(multiscale: Mapping[str, Any]) -> tuple[float | None, str]:
    """As :func:`muse_core.slides.mpp.combine_mpp`, of the finest level.

    Args:
        multiscale: An entry of "multiscales".
    """
    mpp, note = combine_mpp(*_scale_um(multiscale))
    return mpp, note if note or mpp is not None else _lacking_unit(multiscale)


def _lacking_unit(multiscale: Mapping[str, Any]) -> str:
    """Half a sentence on a scale that is in no unit of length, "" where there is no scale."""
    if not any(t.get("type") == "scale" for t in _transformations(multiscale)):
        return ""
    axes = (axis for axis in multiscale["axes"] if axis["name"].lower() in ("x", "y"))
    units = (str(axis.get("unit", "")).strip() for axis in axes)
    unit = next((u for u in units if not um_per_unit(u)), None)
    if unit is None:
        return ""
    if not unit:
        return "its metadata state a scale without a unit"
    return f"its metadata state a scale in {unit[:_SHOWN]}, which is no length"


def _transformations(multiscale: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Of the finest level, then of all."""
    for holder in (multiscale["datasets"][0], multiscale):
        yield from holder.get("coordinateTransformations", [])


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


def same_extent(levels: Sequence[Level], multiscale: Mapping[str, Any]) -> list[Level]:
    """The levels that show what the finest does, by the scale and place that each states.

    Others are crops, or padded to whole chunks. The size alone does not tell if both sides have
    grown or shrunk alike. A level that does not state its scale, or states the finest's, is kept.

    Args:
        levels: Finest first.
        multiscale: The entry of "multiscales" with their metadata, in the same order.
    """
    stated = [_stated_place(dataset, multiscale["axes"]) for dataset in multiscale["datasets"]]
    kept = list(levels[:1])
    for level, own in zip(levels[1:], stated[1:], strict=True):
        sides = ((levels[0].width, level.width), (levels[0].height, level.height))
        if all(map(_fits, stated[0], own, sides)):
            kept.append(level)
    return kept


def _fits(finest: _Place | None, own: _Place | None, sides: tuple[int, int]) -> bool:
    """Whether a level reaches along one axis from where the finest begins to where it ends."""
    if finest is None or own is None or finest.scale == own.scale:
        return True
    off_px = abs(sides[0] * finest.scale / own.scale - sides[1])
    return off_px <= _ROUNDED_PX and abs(own.start - finest.start) <= own.scale


def _stated_place(
    dataset: Mapping[str, Any], axes: Sequence[Mapping[str, Any]]
) -> tuple[_Place | None, _Place | None]:
    """Along x and y; None where no scale above 0 is stated."""
    names = [str(axis["name"]).lower() for axis in axes]
    try:
        by_kind = {t["type"]: t for t in dataset["coordinateTransformations"]}
        scale = by_kind["scale"]["scale"]
        start = by_kind.get("translation", {}).get("translation", [0.0] * len(names))
        x, y = (_place(scale[i], start[i]) for i in map(names.index, "xy"))
    except (AttributeError, LookupError, TypeError):
        return None, None
    return x, y


def _place(scale: object, start: object) -> _Place | None:
    factor, begins = stated_number(scale), stated_number(start)
    if factor is None or begins is None or not 0 < factor < math.inf:
        return None
    return _Place(factor, begins)


def _scale_um(multiscale: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Microns per pixel of the finest level along x and y, None without a unit."""
    axes = multiscale["axes"]
    scale = [1.0] * len(axes)
    found = False
    for transform in _transformations(multiscale):
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
