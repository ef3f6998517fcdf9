"""Nuclei as GeoJSON that QuPath opens: detections that are points, and regions as annotations.

QuPath's own names are used (objectType, classification, measurements, metadata), so that everything
shows there. What it has no place for stands in a member "muse" beside the features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from muse_core.errors import UserError
from muse_core.files import replacing
from muse_core.nuclei.formats.facts import Facts, facts_of, facts_to_json
from muse_core.nuclei.formats.geojson.packed import packed
from muse_core.nuclei.gc_pause import without_collector
from muse_core.nuclei.nucleus_file import FIRST_PLANE, NucleusFile, PlaneZT
from muse_core.nuclei.regions import NamedRegion
from muse_core.nuclei.scheme import ClassScheme
from muse_core.nuclei.table import valid_parts

_BATCH_ROWS = 20_000
_UUID_START = "4d555345-0000-8"
"""UUID version 8 (RFC 9562), free to fill; the first four bytes are "MUSE"."""
_ALL_CHANNELS = -1
_NO_ID = (1 << 63) - 1


def write_geojson(content: NucleusFile, path: str | Path) -> None:
    """Write nuclei and regions to GeoJSON; ``.gz`` or ``.zip`` at the end of the name compresses.

    Coordinates are level-0 pixels, whatever the microns per pixel. Deleted nuclei are written too,
    with their status, and regions as annotations.

    Args:
        content: Nuclei, regions and metadata.
        path: Target file.

    Raises:
        UserError: The table is not a NucleusTable, a text is not Unicode, or the file cannot be
            written.
    """
    write_geojson_parts([content.table], path, facts_of(content))


def write_geojson_parts(parts: Iterable[pd.DataFrame], path: str | Path, facts: Facts) -> None:
    """Like :func:`write_geojson`, for an iterable of tables.

    Args:
        parts: NucleusTables, whose ids differ.
        path: Target file.
        facts: Rest of the file's content.

    Raises:
        UserError: See :func:`write_geojson`.
    """
    scheme, regions = facts.scheme, facts.regions
    noted = facts_to_json(facts._replace(regions=()))
    head = {"type": "FeatureCollection", "muse": noted}
    try:
        with (
            replacing(path) as partial,
            packed(partial, Path(path).name) as file,
            without_collector(),
        ):
            file.write(orjson.dumps(head)[:-1] + b',"features":[\n')
            separator = b""
            for batch in _batches(valid_parts(parts), scheme, regions):
                _set_plane(batch, facts.plane_zt)
                text = orjson.dumps(batch, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
                # One feature a line.
                file.write(separator + text.replace(b'},{"type":"Feat', b'},\n{"type":"Feat'))
                separator = b",\n"
            file.write(b"\n]}\n")
    except orjson.JSONEncodeError as error:
        raise UserError(f"These nuclei cannot be written as GeoJSON: {error}.") from error


def feature_uuid(nucleus_id: int) -> str:
    """The UUID that stands for a nucleus in QuPath; :func:`nucleus_id` is its inverse."""
    bits = nucleus_id & 0xFFFF_FFFF_FFFF_FFFF
    low = bits & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    text = f"{low:016x}"
    return f"{_UUID_START}{bits >> 62:03x}-{text[:4]}-{text[4:]}"


def nucleus_id(uuid: object) -> int | None:
    """The id of the nucleus behind a feature's UUID, or None where it is not one of ours."""
    if not isinstance(uuid, str) or len(uuid) != 36 or not uuid.startswith(_UUID_START):
        return None
    try:
        high, low = int(uuid[15:18], 16), int(uuid[19:23] + uuid[24:], 16)
    except ValueError:
        return None
    bits = (high & 3) << 62 | low & 0x3FFF_FFFF_FFFF_FFFF
    return bits - (1 << 64) if bits > _NO_ID else bits


def _batches(
    parts: Iterable[pd.DataFrame], scheme: ClassScheme | None, regions: Iterable[NamedRegion]
) -> Iterator[list[dict[str, Any]]]:
    outlines = [_annotation(r) for r in regions]
    if outlines:
        yield outlines
    colors = {} if scheme is None else {c.name: _rgb(c.color) for c in scheme.classes}
    slices = (t.iloc[i : i + _BATCH_ROWS] for t in parts for i in range(0, len(t), _BATCH_ROWS))
    for part in slices:
        columns = [part[c].tolist() for c in ("id", "x", "y", "class_name", "status", "model")]
        # As float32, for which the shortest decimals that restore the value are written.
        scores = list(part["score"].to_numpy(np.float32))
        yield [_detection(row, colors) for row in zip(*columns, scores, strict=True)]


def _detection(row: tuple[Any, ...], colors: dict[str, list[int]]) -> dict[str, object]:
    number, x, y, name, status, model, score = row
    classification: dict[str, object] = {"name": name}
    if name in colors:
        classification["color"] = colors[name]
    return {
        "type": "Feature",
        "id": feature_uuid(number),
        "geometry": {"type": "Point", "coordinates": [x, y]},
        "properties": {
            "objectType": "detection",
            "classification": classification,
            "measurements": {"Score": score},
            "metadata": {"status": status, "model": model} if model else {"status": status},
        },
    }


def _annotation(region: NamedRegion) -> dict[str, object]:
    ring = [list(v) for v in (*region.vertices, region.vertices[0])]
    properties: dict[str, object] = {"objectType": "annotation"}
    if region.name:
        properties["name"] = region.name
    properties["metadata"] = {"reviewed": "true" if region.reviewed else "false"}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": properties,
    }


def _set_plane(features: list[dict[str, Any]], plane_zt: PlaneZT) -> None:
    """Note the plane of a stack; QuPath shows what names none in the first one."""
    z, t = plane_zt
    for feature in features if plane_zt != FIRST_PLANE else ():
        feature["geometry"]["plane"] = {"c": _ALL_CHANNELS, "z": z, "t": t}


def _rgb(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]
