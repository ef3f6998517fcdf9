"""Small GeoJSON files and what is read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from muse_core.nuclei import NucleusFile
from muse_core.nuclei.formats.geojson.read import read_geojson

SQUARE = [[10, 20], [14, 20], [14, 24], [10, 24], [10, 20]]
HOLE = [[11, 21], [12, 21], [12, 22], [11, 22], [11, 21]]


def feature(geometry: tuple[str, Any], properties: Any, **more: Any) -> dict[str, Any]:
    shape, coordinates = geometry
    return {
        "type": "Feature",
        "geometry": {"type": shape, "coordinates": coordinates},
        "properties": properties,
        **more,
    }


def read(folder: Path, features: Any, **options: Any) -> NucleusFile:
    path = folder / "f.geojson"
    path.write_text(json.dumps(features))
    return read_geojson(path, **options)


def rows(found: NucleusFile) -> list[list[Any]]:
    result: list[list[Any]] = found.table[["x", "y", "class_name"]].to_numpy().tolist()
    return result
