"""Properties of features as QuPath and others name them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from muse_core.nuclei.formats.headings import CLASS_NAMES, SCORE_NAMES, by_lower_case

OBJECT_TYPES = {
    "annotation": "annotation",
    "detection": "detection",
    "cell": "cell",
    "tile": "tile",
    "tmacore": "tmacore",
    "tma_core": "tmacore",
    "root": "root",
    # QuPath 0.2 kept the type in the id.
    "pathannotationobject": "annotation",
    "pathdetectionobject": "detection",
    "pathcellobject": "cell",
    "pathtileobject": "tile",
    "tmacoreobject": "tmacore",
    "pathrootobject": "root",
}


def object_type(feature: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """Return QuPath's type of a feature, a value of :data:`OBJECT_TYPES`, or "" if unsaid.

    From 0.4 on it is called objectType, in 0.3 object_type; "type" is an alias, which other
    programs use for the class.
    """
    for value in (
        properties.get("objectType"),
        properties.get("object_type"),
        properties.get("type"),
        feature.get("id"),
    ):
        if isinstance(value, str) and value.lower() in OBJECT_TYPES:
            return OBJECT_TYPES[value.lower()]
    return ""


def plane_of(geometry: Mapping[str, Any]) -> tuple[int, int]:
    """Number from 0 of the focal plane and of the point of time that a geometry lies in.

    QuPath leaves out those of the first, and whatever is no number is taken for it.
    """
    plane = geometry.get("plane")
    plane = plane if isinstance(plane, dict) else {}
    z, t = (plane.get(axis) for axis in "zt")
    return _whole(z), _whole(t)


def _whole(number: object) -> int:
    """A number as the nearest whole one; programs without whole numbers write 3.0."""
    return round(number) if isinstance(number, int | float) and math.isfinite(number) else 0


def class_of_feature(properties: Mapping[str, Any]) -> tuple[str, str]:
    """Class of a feature, or "" where none is named, and the property that names it.

    Several names are joined as QuPath does.
    """
    classification = properties.get("classification")
    if isinstance(classification, dict):
        return _name_within(classification), "classification"
    for key in ("classification", *_class_headings(tuple(properties))):
        name = _name_within(properties.get(key))
        if name and (key.lower() != "type" or name.lower() not in OBJECT_TYPES):
            return name, key
    return "", ""


def _name_within(value: object) -> str:
    """A name, or those in a list or in a classification as QuPath has it; "" for anything else.

    Scripts of QuPath write the names of a class as a list, and R each single text.
    """
    if isinstance(value, dict):
        names = value.get("names")
        value = names if isinstance(names, list) and names else value.get("name")
        if value is not None and not isinstance(value, list):
            return str(value)
    if isinstance(value, list):
        parts = [part.get("name") if isinstance(part, dict) else part for part in value]
        return ": ".join(str(part) for part in parts if part is not None)
    if isinstance(value, float) and value.is_integer():
        # A column of whole numbers in which some are missing is written as floats.
        value = int(value)
    return str(value) if isinstance(value, str | int) else ""


@lru_cache(maxsize=256)
def _class_headings(properties: tuple[str, ...]) -> tuple[str, ...]:
    """Return those properties that may name a class, the surest first."""
    found = by_lower_case(properties)
    return tuple(found[name] for name in CLASS_NAMES if name in found)


def class_color(properties: Mapping[str, Any]) -> str:
    """Colour ``#rrggbb`` of a feature's class, or "" where there is none."""
    classification = properties.get("classification")
    if not isinstance(classification, dict):
        return ""
    color = classification.get("color")
    if (
        isinstance(color, list)
        and len(color) == 3
        and all(isinstance(c, int | float) and 0 <= c <= 255 and c == int(c) for c in color)
    ):
        return "#{:02x}{:02x}{:02x}".format(*map(int, color))
    packed = classification.get("colorRGB")
    return f"#{packed & 0xFFFFFF:06x}" if isinstance(packed, int) else ""


def score(properties: Mapping[str, Any]) -> float | None:
    """Return the score that a program gave, 0 to 1, or None."""
    measurements = properties.get("measurements")
    if isinstance(measurements, list):  # up to QuPath 0.3
        measurements = {m.get("name"): m.get("value") for m in measurements if isinstance(m, dict)}
    for source in (measurements, properties):
        if not isinstance(source, dict):
            continue
        for key, value in source.items():
            if isinstance(key, str) and key.lower() in SCORE_NAMES and _is_probability(value):
                return float(value)
    return None


def _is_probability(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1
