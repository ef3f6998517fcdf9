"""Nuclei that others have written as outlines to GeoParquet, geometries in WKB."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from muse_core.errors import UserError
from muse_core.nuclei.nucleus_file import (
    UNCLASSIFIED,
    NucleusFile,
    check_characters,
    check_classes,
)
from muse_core.nuclei.polygons import centres
from muse_core.nuclei.qupath import CLASS_KEYS, SCORE_KEYS
from muse_core.nuclei.table import nucleus_table

_BATCH_ROWS = 1 << 16
_BATCH_BYTES = 1 << 28


def geometry_column(schema: pa.Schema) -> str | None:
    """Name of the column with the geometries, or None where there is none.

    Raises:
        UserError: The geometries are encoded otherwise than as WKB.
    """
    facts = (schema.metadata or {}).get(b"geo")
    if facts is None:
        known = "geometry" in schema.names and is_bytes(schema.field("geometry").type)
        return "geometry" if known else None
    try:
        geo = orjson.loads(facts)
        name = geo["primary_column"]
        encoding = geo["columns"][name]["encoding"]
        kind = schema.field(name).type
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError("The GeoParquet metadata are damaged.") from error
    if str(encoding).upper() != "WKB" or not is_bytes(kind):
        raise UserError(f"Geometries encoded as {encoding} cannot be read; write them as WKB.")
    return str(name)


def read_outlines(file: pq.ParquetFile, geometry: str) -> NucleusFile:
    """Centres of the geometries as predictions, with class and score where columns are named so.

    Coordinates are taken as level-0 pixels whatever reference system the file names: GeoParquet
    knows none for slides, and its default is the globe.

    Args:
        file: The file; a column read as a dictionary takes no more memory than its values.
        geometry: Name of the column with the geometries.

    Raises:
        UserError: A geometry is damaged, no row has a place, or classes are too many or too long.
    """
    columns = {name.lower(): name for name in file.schema_arrow.names if name != geometry}
    classes = _first(columns, CLASS_KEYS, file.schema_arrow, _is_name)
    scores = _first(columns, SCORE_KEYS, file.schema_arrow, pa.types.is_floating)
    wanted = [geometry, *(c for c in (classes, scores) if c is not None)]
    parts = []
    seen: set[str] = set()
    n_characters = 0
    for batch in file.iter_batches(_rows_at_once(file.metadata), columns=wanted):
        xy = _centres(batch.column(geometry))
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


def _distinct(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.intp]]:
    """Values, and of each row which it has; their number where it has none.

    Of a dictionary those that occur, each once.
    """
    if not pa.types.is_dictionary(column.type):
        return column, np.arange(len(column))
    codes = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
    used = np.unique(codes[codes >= 0])
    rows = np.where(codes < 0, len(used), np.searchsorted(used, codes))
    return column.dictionary.take(pa.array(used)), rows


def _centres(geometries: pa.Array) -> npt.NDArray[np.float64]:
    """(N, 2) centres, NaN where there is no geometry."""
    values, rows = _distinct(geometries)
    try:
        shapes = shapely.from_wkb(values.to_numpy(zero_copy_only=False))
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise UserError("It holds a geometry that is damaged.") from error
    return np.vstack([centres(shapes), np.full((1, 2), np.nan)])[rows]


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
        notes.append(f"{int((~placed).sum()):,} objects without a place were left out.")
    unnamed = int((kept["class_name"] == UNCLASSIFIED).sum())
    if unnamed:
        notes.append(f"{unnamed:,} nuclei without a class are now {UNCLASSIFIED!r}.")
    if classes is None:
        notes.append(f"No column names the classes; these are looked for: {', '.join(CLASS_KEYS)}.")
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


def is_bytes(kind: pa.DataType) -> bool:
    """Whether values are bytes of any length."""
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether values are texts."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_name(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return is_text(kind) or pa.types.is_integer(kind)


def _names(batch: pa.RecordBatch, column: str | None) -> npt.NDArray[np.object_]:
    if column is None:
        return np.full(batch.num_rows, UNCLASSIFIED, dtype=object)
    values, rows = _distinct(batch.column(column))
    names = [name or UNCLASSIFIED for name in pc.cast(values, pa.string()).to_pylist()]
    return np.array([*names, UNCLASSIFIED], dtype=object)[rows]


def _scores(batch: pa.RecordBatch, column: str | None) -> npt.NDArray[np.float32] | float:
    """Scores; 1 where there is none that is a probability."""
    if column is None:
        return 1.0
    scores = batch.column(column).to_numpy(zero_copy_only=False).astype(np.float32)
    return np.where((scores >= 0) & (scores <= 1), scores, np.float32(1))
