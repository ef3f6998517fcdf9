"""Nuclei as Parquet: a column for each of the table's, classes and scale in the metadata."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from muse_core.errors import UserError
from muse_core.files import replacing, system_sentence
from muse_core.nuclei.formats.axes import (
    axes_columns,
    is_along_axes,
    may_number_regions,
    to_corner_px,
)
from muse_core.nuclei.formats.columns import (
    NO_CLASSES,
    NUMBERED_ANEW,
    PART_KEYS,
    class_names,
    filled,
    probabilities,
    require_one_part,
)
from muse_core.nuclei.formats.csv import (
    BOX_COLUMNS,
    NUCLEUS_CSV,
    require_centres,
    taken_as_pixels,
)
from muse_core.nuclei.formats.element_place import on_slide, systems_of_folder
from muse_core.nuclei.formats.facts import Facts, facts_from_json, facts_of, facts_to_json
from muse_core.nuclei.formats.geoparquet import geometry_column, read_outlines
from muse_core.nuclei.formats.parquet_columns import (
    is_bytes,
    is_number,
    is_score,
    is_text,
    is_words,
    names_parts,
    numbers,
    texts,
    whole_numbers,
)
from muse_core.nuclei.nucleus_file import (
    UNCLASSIFIED,
    NucleusFile,
    check_characters,
    check_count,
)
from muse_core.nuclei.table import Status, nucleus_table, valid_parts
from muse_core.ordinary import require_file

_COLUMNS = {"x_px": "x", "y_px": "y", "class": "class_name"}
"""Names in the file, those of the CSV file, and in the table where they differ."""
_KEY = b"muse"
_NAMES_SHOWN = 200
_SMALL_BYTES = 1 << 26
_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("x_px", pa.float64()),
        ("y_px", pa.float64()),
        ("class", _DICTIONARY),
        ("score", pa.float32()),
        ("status", _DICTIONARY),
        ("model", _DICTIONARY),
    ]
)


def write_parquet(content: NucleusFile, path: str | Path) -> None:
    """Write nuclei to Parquet; classes, scale and regions are JSON in the metadata under "muse".

    Args:
        content: Nuclei and their metadata.
        path: Target file.

    Raises:
        UserError: The table is not a NucleusTable, or the file cannot be written.
    """
    write_parquet_parts([content.table], path, facts_of(content))


def write_parquet_parts(parts: Iterable[pd.DataFrame], path: str | Path, facts: Facts) -> None:
    """Like :func:`write_parquet`, for an iterable of tables.

    Args:
        parts: NucleusTables, whose ids differ; each is a row group.
        path: Target file.
        facts: Rest of the file's content.

    Raises:
        UserError: See :func:`write_parquet`.
    """
    schema = _SCHEMA.with_metadata({_KEY: orjson.dumps(facts_to_json(facts))})
    with replacing(path) as partial, _writer(partial, schema) as writer:
        for table in valid_parts(parts):
            writer.write_table(_arrow(table, schema))


@contextlib.contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A writer that is closed in any case; after a failure, closing may fail too."""
    with _opened(path, "wb") as file:
        writer = pq.ParquetWriter(file, schema, compression="zstd")
        try:
            yield writer
        except BaseException:
            with contextlib.suppress(Exception):
                writer.close()
            raise
        writer.close()


def _opened(path: Path, mode: str) -> pa.NativeFile:
    """A file by the name that the system has for it, which Arrow would encode as UTF-8."""
    return pa.OSFile(os.fsencode(path), mode)


def _arrow(table: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    try:
        arrays = [
            pa.array(table[_COLUMNS.get(field.name, field.name)].to_numpy(), _plain(field.type))
            for field in schema
        ]
        return pa.table(
            [a.cast(f.type) for a, f in zip(arrays, schema, strict=True)], schema=schema
        )
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise UserError(f"These nuclei cannot be written as Parquet: {error}.") from error


def read_parquet(path: str | Path) -> NucleusFile:
    """Read nuclei from Parquet files, our own or outlines or points of other programs.

    The columns x_px, y_px and class are enough. With a geometry column (GeoParquet) the positions
    are the centres of the geometries, in level-0 pixels, or placed in these by the SpatialData
    store that the file lies in. Without either, columns x and y are taken as pixels, with a note.

    Raises:
        UserError: The file is missing, not Parquet, lacks a column, or holds a bad value.
    """
    source = require_file(path)
    try:
        with _opened(source, "rb") as stream:
            facts = pq.read_metadata(stream)
            check_count(facts.num_rows, source.name)
            schema = facts.schema.to_arrow_schema()
            repeated = _maybe_repeated(facts, schema)
            file = pq.ParquetFile(stream, metadata=facts, read_dictionary=repeated)
            named = _our_columns(schema.names)
            has_points = {"x_px", "y_px"} <= set(named) and (
                "class" in named or is_along_axes(named)
            )
            if has_points and not taken_as_pixels(named):
                return _read_points(file, named)
            geometry = geometry_column(schema)
            if geometry is not None:
                return _in_its_store(read_outlines(file, *geometry), source)
            if has_points:
                return _read_points(file, named)
    except UserError as error:
        raise UserError(f"{source.name}: {error}") from error
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        sentence = system_sentence(error) or f"{source.name} is not a readable Parquet file."
        raise UserError(sentence) from error
    has = ", ".join(schema.names)[:_NAMES_SHOWN] or "none"
    raise UserError(
        f"{source.name} holds no nuclei: it needs the columns x_px, y_px and class, or a column"
        f" of geometries as WKB or GeoArrow; it has {has}."
    )


def _in_its_store(found: NucleusFile, path: Path) -> NucleusFile:
    """Nuclei of a file of shapes where its SpatialData store, if it lies in one, places them."""
    systems = systems_of_folder(path.absolute().parent)
    if systems is None:
        return found
    xy = on_slide(found.table[["x", "y"]].to_numpy(np.float64), systems)
    return replace(found, table=found.table.assign(x=xy[:, 0], y=xy[:, 1]))


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(kind) else kind


def _maybe_repeated(facts: pq.FileMetaData, schema: pa.Schema) -> list[str]:
    """Columns to read as dictionaries: texts, and bytes that take little room in the file.

    A long value that many rows share takes little room in the file, but gigabytes in memory unless
    it is read as a dictionary. Large columns of bytes are outlines, which all differ and gain
    nothing.
    """
    groups = [facts.row_group(i) for i in range(facts.num_row_groups)]
    chunks = [g.column(i) for g in groups for i in range(g.num_columns)]
    large = {c.path_in_schema for c in chunks if c.total_uncompressed_size > _SMALL_BYTES}
    return [f.name for f in schema if is_text(f.type) or (is_bytes(f.type) and f.name not in large)]


def _our_columns(names: Sequence[str]) -> dict[str, str]:
    """The file's name for each column of nuclei that it has; in any case, as CSV files may have it.

    Raises:
        UserError: One is there twice.
    """
    folded = [name.strip().lower() for name in names]
    found = {}
    for key, column in (axes_columns(folded, NUCLEUS_CSV) or NUCLEUS_CSV).items():
        known = next((name for name in column.names if name in folded), None)
        if known is None or key not in (*_SCHEMA.names, *PART_KEYS, *BOX_COLUMNS, "probability"):
            continue
        exact = [name for name in names if name == known]
        if len(exact) > 1 or (not exact and folded.count(known) > 1):
            raise UserError(f"It has the column {known} twice.")
        found[key] = exact[0] if exact else names[folded.index(known)]
    return found


def _read_points(file: pq.ParquetFile, named: dict[str, str]) -> NucleusFile:
    require_centres(named, "x_px")
    named = {key: name for key, name in named.items() if key not in BOX_COLUMNS}
    raw = file.read(columns=list(named.values()))
    columns = {key: raw[name].combine_chunks() for key, name in named.items()}
    for key in PART_KEYS:
        if key in columns and names_parts(columns[key].type):
            require_one_part(columns[key].unique().to_pylist(), key, named[key])
    xy = {key: numbers(columns[key], key) for key in ("x_px", "y_px")}
    for key, values in xy.items():
        if np.isnan(values).any():
            raise UserError(f"It holds a nucleus with an empty cell in the column {key}.")
    corner_px = to_corner_px(named)
    if may_number_regions(named) and is_number(columns["class"].type):
        del columns["class"]
    words = {
        key: texts(columns[key], key) for key in ("class", "status", "model") if key in columns
    }
    check_characters(sum(sum(len(v or "") for v in values) for values in words.values()))
    names: Sequence[str] | str = UNCLASSIFIED
    notes: tuple[str, ...] = (NO_CLASSES,)
    if "class" in words:
        names, notes = class_names(words["class"].tolist(), "class")
    words_as_ids = "id" in columns and is_words(columns["id"])
    facts = facts_from_json((file.schema_arrow.metadata or {}).get(_KEY))
    table = nucleus_table(
        xy["x_px"] + corner_px,
        xy["y_px"] + corner_px,
        names,
        score=_scores(columns),
        status=filled(words["status"].tolist(), Status.PREDICTED.word)
        if "status" in words
        else Status.PREDICTED.word,
        model=filled(words["model"].tolist(), "") if "model" in words else "",
        ids=None if "id" not in columns or words_as_ids else whole_numbers(columns["id"], "id"),
    )
    anew = (NUMBERED_ANEW,) if words_as_ids else ()
    return facts.with_table(table, (*anew, *taken_as_pixels(named), *notes))


def _scores(columns: Mapping[str, pa.Array]) -> npt.NDArray[np.float64] | float:
    if "score" in columns:
        return np.nan_to_num(numbers(columns["score"], "score"), nan=1.0)
    if "probability" in columns and is_score(columns["probability"].type):
        return probabilities(numbers(columns["probability"], "probability"))
    return 1.0
