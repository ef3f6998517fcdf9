"""Read nuclei from GeoParquet files of other programs, which hold outlines."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from muse_core.errors import UserError
from muse_core.nuclei.counted import counted
from muse_core.nuclei.formats.columns import (
    class_name,
    part_headings,
    probabilities,
    require_one_part,
    require_one_plane,
)
from muse_core.nuclei.formats.geoarrow import is_native, native_shapes
from muse_core.nuclei.formats.geojson.left_out import OBJECTS_WITHOUT_PLACE
from muse_core.nuclei.formats.headings import (
    CLASS_KEYS,
    CLASS_NAMES,
    SCORE_NAMES,
    by_lower_case,
)
from muse_core.nuclei.formats.parquet_columns import (
    distinct,
    is_bytes,
    is_fractional,
    is_name,
    is_score,
    names_parts,
    numbers,
    texts,
)
from muse_core.nuclei.formats.polygons import centres
from muse_core.nuclei.nucleus_file import (
    UNCLASSIFIED,
    NucleusFile,
    check_characters,
    check_classes,
    check_numbering,
    unclassified_note,
)
from muse_core.nuclei.table import nucleus_table

_WKB = "WKB"
_GEOMETRY_NAMES = ("geometry", "geom", "wkb_geometry", "the_geom", "wkb")
_GEOARROW = "geoarrow."
_BATCH_ROWS = 1 << 16
_BATCH_BYTES = 1 << 28


def geometry_column(schema: pa.Schema) -> tuple[str, str] | None:
    """Name and encoding of the column with the geometries, or None where there is none.

    Raises:
        UserError: The geometries are encoded in a way that is not known.
    """
    facts = (schema.metadata or {}).get(b"geo")
    if facts is None:
        return _undescribed_geometry(schema)
    try:
        geo = orjson.loads(facts)
        name = str(geo["primary_column"])
        encoding = str(geo["columns"][name]["encoding"])
        kind = schema.field(name).type
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError("The GeoParquet metadata are damaged.") from error
    if encoding.upper() == _WKB and is_bytes(kind):
        return name, _WKB
    if is_native(encoding.lower(), kind):
        return name, encoding.lower()
    raise UserError(f"Geometries encoded as {encoding} cannot be read; write them as WKB.")


def _undescribed_geometry(schema: pa.Schema) -> tuple[str, str] | None:
    """Like :func:`geometry_column`, of a file without GeoParquet's metadata.

    Such a column has a type of GeoArrow, or bytes and the name that programs give to WKB.
    """
    for field in schema:
        extension = (
            (field.metadata or {}).get(b"ARROW:extension:name", b"").decode("utf-8", "replace")
        )
        encoding = extension.removeprefix(_GEOARROW)
        if extension == f"{_GEOARROW}wkb" and is_bytes(field.type):
            return field.name, _WKB
        if extension != encoding and is_native(encoding, field.type):
            return field.name, encoding
    named = {field.name.lower(): field for field in schema if is_bytes(field.type)}
    known = next((named[name] for name in _GEOMETRY_NAMES if name in named), None)
    return None if known is None else (known.name, _WKB)


def read_outlines(file: pq.ParquetFile, geometry: str, encoding: str) -> NucleusFile:
    """Centres of the geometries as predictions, with class and score where columns are named so.

    Coordinates are taken as level-0 pixels whatever reference system the file names: GeoParquet
    has none for slides, and its default is longitude and latitude.

    Args:
        file: The file; a column read as a dictionary takes no more memory than its values.
        geometry: Name of the column with the geometries.
        encoding: How they are encoded.

    Raises:
        UserError: A geometry is damaged, no row has a place, classes are too many or too long, or
            a column names several slides.
    """
    columns = by_lower_case(name for name in file.schema_arrow.names if name != geometry)
    classes = _first(columns, CLASS_NAMES, file.schema_arrow, is_name) or _first(
        columns, CLASS_NAMES, file.schema_arrow, is_fractional
    )
    scores = _first(columns, SCORE_NAMES, file.schema_arrow, is_score)
    parts_of = {
        key: heading
        for key, heading in part_headings(columns).items()
        if names_parts(file.schema_arrow.field(heading).type)
    }
    of_parts: dict[str, set[Any]] = {heading: set() for heading in parts_of.values()}
    wanted = [geometry, *of_parts, *(c for c in (classes, scores) if c is not None)]
    parts = []
    seen: set[str] = set()
    n_characters = 0
    for batch in file.iter_batches(_rows_at_once(file.metadata), columns=wanted):
        for key, heading in parts_of.items():
            of_parts[heading].update(batch.column(heading).unique().to_pylist())
            require_one_part(of_parts[heading], key, heading)
        xy = _centres(batch.column(geometry), encoding)
        names = _names(batch, classes)
        seen.update(names)
        check_classes(len(seen), f"The column {classes!r}")
        n_characters += sum(map(len, names))
        check_characters(n_characters)
        parts.append(
            pd.DataFrame(
                {"x": xy[:, 0], "y": xy[:, 1], "class_name": names, "score": _scores(batch, scores)}
            )
        )
    return _gathered(parts, classes)


def _rows_at_once(metadata: pq.FileMetaData) -> int:
    """Rows of a batch, fewer where the rows of a group are long."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    longest = max((g.total_byte_size / max(1, g.num_rows) for g in groups), default=0)
    return int(max(1, min(_BATCH_ROWS, _BATCH_BYTES / max(1, longest))))


def _centres(geometries: pa.Array, encoding: str) -> npt.NDArray[np.float64]:
    """(N, 2) centres, NaN where there is no geometry.

    Raises:
        UserError: A geometry is damaged, or there are several planes.
    """
    if encoding != _WKB:
        shapes = native_shapes(geometries, encoding)
        _require_one_height(shapes)
        return centres(shapes)
    values, rows = distinct(geometries)
    try:
        shapes = shapely.from_wkb(values.to_numpy(zero_copy_only=False))
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise UserError("It holds a geometry that is damaged.") from error
    _require_one_height(shapes)
    return np.vstack([centres(shapes), np.full((1, 2), np.nan)])[rows]


def _require_one_height(shapes: npt.NDArray[np.object_]) -> None:
    """Raise UserError where geometries with z, the plane of a stack, lie in several."""
    raised = shapes[shapely.has_z(shapes)]
    if len(raised):
        heights = np.unique(shapely.get_coordinates(raised, include_z=True)[:, 2])
        require_one_plane(heights.tolist(), "by the z of its geometries")


def _gathered(parts: list[pd.DataFrame], classes: str | None) -> NucleusFile:
    if not parts:
        return NucleusFile(nucleus_table([], [], []))
    raw = pd.concat(parts, ignore_index=True)
    placed = np.isfinite(raw[["x", "y"]].to_numpy()).all(axis=1)
    if not placed.any():
        raise UserError("It holds no geometry with a place.")
    kept = raw[placed]
    notes = ["Coordinates were taken as pixels of the full resolution."]
    if not placed.all():
        notes.append(f"{counted(int((~placed).sum()), *OBJECTS_WITHOUT_PLACE)}.")
    unnamed = int((kept["class_name"] == UNCLASSIFIED).sum())
    if unnamed:
        notes.append(unclassified_note(unnamed))
    if classes is None:
        notes.append(f"No column names the classes; these are looked for: {', '.join(CLASS_KEYS)}.")
    check_numbering(set(kept["class_name"]), len(kept), f"The column {classes!r}")
    table = nucleus_table(kept["x"], kept["y"], kept["class_name"], score=kept["score"])
    return NucleusFile(table, notes=tuple(notes))


def _first(
    columns: dict[str, str], keys: tuple[str, ...], schema: pa.Schema, fits: Any
) -> str | None:
    """The first column by the order of the keys whose values can be used."""
    for key in keys:
        if key in columns and fits(schema.field(columns[key]).type):
            return columns[key]
    return None


def _names(batch: pa.RecordBatch, column: str | None) -> npt.NDArray[np.object_]:
    if column is None:
        return np.full(batch.num_rows, UNCLASSIFIED, dtype=object)
    names = texts(batch.column(column), column)
    known = {name: class_name(name) for name in set(names.tolist())}
    return np.array([known[name] for name in names.tolist()], dtype=object)


def _scores(batch: pa.RecordBatch, column: str | None) -> npt.NDArray[np.float64] | float:
    """Scores; 1 where there is none that is a probability."""
    if column is None:
        return 1.0
    return probabilities(numbers(batch.column(column), column))
