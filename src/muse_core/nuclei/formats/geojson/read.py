"""Nuclei from GeoJSON: our own, QuPath's, and those of programs that write for QuPath."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei.counted import counted
from muse_core.nuclei.formats import qupath
from muse_core.nuclei.formats.columns import class_name
from muse_core.nuclei.formats.facts import facts_from_json
from muse_core.nuclei.formats.geojson.feature_stream import FeatureStream
from muse_core.nuclei.formats.geojson.left_out import LeftOut
from muse_core.nuclei.formats.geojson.one_part import OnePart
from muse_core.nuclei.formats.geojson.packed import opened_geojson
from muse_core.nuclei.formats.geojson.rows import (
    FeatureRows,
    OddFeatureError,
    check_name,
    feature_record,
)
from muse_core.nuclei.formats.geojson.shapes import Shapes, region_of, shapes_of
from muse_core.nuclei.gc_pause import without_collector
from muse_core.nuclei.naming import one_spelling
from muse_core.nuclei.nucleus_file import (
    UNCLASSIFIED,
    NucleusFile,
    check_classes,
    check_count,
    check_numbering,
    unclassified_note,
)
from muse_core.nuclei.regions import NamedRegion
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.table import nucleus_table
from muse_core.ordinary import require_file

_COLLECTION = "featurecollection"
_NOT_NUCLEI = ("tile", "tmacore", "root")
_MAX_DEPTH = 50
_MAX_REGIONS = 100_000
_MAX_CORNERS = 10_000_000
_IF_NUCLEI = (
    "if the outlines are nuclei, read the file again with --outlines-are-nuclei, or in the window"
    " tick “Outlines of annotations are nuclei”."
)
_NO_FEATURE = (TypeError, ValueError, KeyError, IndexError, OverflowError, AttributeError)
"""Errors raised while reading something that is not a valid feature."""


def read_geojson(path: str | Path, outlines_are_nuclei: bool = False) -> NucleusFile:
    """Read nuclei and regions; outlines of nuclei become their area-weighted centres.

    Memory stays at a few megabytes beside the table, unless one feature is larger. Annotations with
    an area become regions, without their holes; every point of a point annotation is a nucleus. A
    cell is represented by its nucleus, if it has one, and a collection of geometries by its areas
    or, if it has none, its points. Tiles, TMA cores and features that cannot be read are left out;
    the notes count them and name the first.

    Args:
        path: A FeatureCollection, a list of features, or features or geometries that stand alone,
            one after the other; UTF-8 or UTF-16, ``.gz`` and ``.zip`` are unpacked. Level-0
            pixels, as QuPath writes them.
        outlines_are_nuclei: Take each polygon of an annotation as a nucleus, for programs that
            write all nuclei of a class as one annotation.

    Raises:
        UserError: The file is missing, not GeoJSON, incomplete, too large, of several planes of
            a stack, or holds nothing that can be read.
    """
    source = require_file(path)
    collector = _Collector(source.name, outlines_are_nuclei)
    try:
        with _opened(source) as file, without_collector():
            stream = FeatureStream(file, source.name)
            for features in stream:
                collector.add(features)
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise UserError(f"{source.name} cannot be read: {error}.") from error
    try:
        found = collector.result(stream.members.get("muse"))
    except UserError as error:
        raise UserError(f"{source.name}: {error}") from error
    if not stream.recoded:
        return found
    note = f"{source.name} is not Unicode; its letters were read as Windows-1252."
    return replace(found, notes=(*found.notes, note))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open the file as bytes in UTF-8, or unchanged if its encoding is not Unicode."""
    with opened_geojson(path) as raw:
        start = raw.read(4)
        raw.seek(0)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            yield cast(BinaryIO, codecs.EncodedFile(raw, "utf-8", "utf-16"))
        else:
            yield raw


class _Collector:
    """Gathers nuclei and regions from features."""

    def __init__(self, name: str, outlines_are_nuclei: bool) -> None:
        self._name = name
        self._outlines_are_nuclei = outlines_are_nuclei
        self._tables: list[pd.DataFrame] = []
        self._n_features = 0
        self._count = 0
        self._regions: list[NamedRegion] = []
        self._corners = 0
        self._colors: dict[str, str] = {}
        self._class_key = ""
        self._part = OnePart()
        self._left_out = LeftOut()

    def add(self, features: list[Any]) -> None:
        """Take a batch of features, and the objects QuPath has put under them."""
        rows = FeatureRows()
        try:
            for index, feature in enumerate(features, start=self._n_features):
                self._take(feature, rows, index, 0)
        except UserError as e:
            raise UserError(f"{self._name}: {e}") from e
        table = rows.table(self._left_out)
        self._n_features += len(features)
        self._count += len(table)
        check_count(self._count, self._name)
        if len(self._regions) > _MAX_REGIONS or self._corners > _MAX_CORNERS:
            raise UserError(
                f"{self._name} holds more than {_MAX_REGIONS:,} regions or {_MAX_CORNERS:,} corners"
                f" of regions; {_IF_NUCLEI}"
            )
        self._tables.append(table)

    def _take(self, feature: Any, rows: FeatureRows, index: int, depth: int) -> None:
        """Read a feature, or a nested collection, and its children.

        An unreadable feature does not affect the others.
        """
        if depth > _MAX_DEPTH:
            self._left_out.add("deep", index)
            return
        try:
            if str(feature.get("type")).lower() == _COLLECTION and "features" in feature:
                for inner in feature["features"] or ():
                    self._take(inner, rows, index, depth + 1)
                return
            properties = feature.get("properties") or {}
            for child in properties.get("childObjects") or ():
                self._take(child, rows, index, depth + 1)
            self._take_one(feature, properties, rows, index)
        except UserError:
            raise
        except OddFeatureError as error:
            self._left_out.add(str(error), index)
        except _NO_FEATURE:
            self._left_out.add("odd", index)

    def _take_one(
        self, feature: dict[str, Any], properties: dict[str, Any], rows: FeatureRows, index: int
    ) -> None:
        kind = qupath.object_type(feature, properties)
        if kind in _NOT_NUCLEI:
            self._left_out.add(kind, index, int(kind != "root"))
            return
        geometry = _nucleus_of(feature) or feature["geometry"]
        if geometry is None:
            self._left_out.add("place", index)
            return
        shapes = shapes_of(geometry)
        if kind == "annotation" and shapes.polygons and not self._outlines_are_nuclei:
            self._add_regions(properties, shapes.polygons, index)
        elif shapes.polygons or shapes.points:
            self._part.add(geometry, shapes, properties)
            self._add_nuclei(feature, properties, shapes, kind, rows, index)
        else:
            self._left_out.add("line" if shapes.n_lines else "place", index)
            return
        if shapes.polygons:
            self._left_out.add("part", index, len(shapes.points) + shapes.n_lines)
        elif shapes.n_lines:
            self._left_out.add("line", index, shapes.n_lines)

    def _add_nuclei(
        self,
        feature: dict[str, Any],
        properties: dict[str, Any],
        shapes: Shapes,
        kind: str,
        rows: FeatureRows,
        index: int,
    ) -> None:
        name, key = qupath.class_of_feature(properties)
        name = class_name(name)
        check_name(name)
        record = feature_record(feature.get("id"), properties, name)
        check_count(self._count + len(rows) + len(shapes.points), "It")
        if not shapes.polygons:
            rows.add_points(shapes.points, record, index)
        elif kind == "annotation":
            for polygon in shapes.polygons:
                rows.add_polygons([polygon], record, index)
        else:
            rows.add_polygons(shapes.polygons, record, index)
        if name not in self._colors:
            self._colors[name] = qupath.class_color(properties)
            if key:
                self._class_key = key
                check_classes(len(self._colors), f"The property {key!r}")

    def _add_regions(self, properties: dict[str, Any], polygons: list[Any], index: int) -> None:
        name = one_spelling(str(properties.get("name") or qupath.class_of_feature(properties)[0]))
        metadata = properties.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        reviewed = str(metadata.get("reviewed", "")).lower() == "true"
        check_name(name)
        for rings in polygons:
            if rings == [] or rings == [[]]:
                self._left_out.add("place", index)
                continue
            try:
                self._corners += len(rings[0])
                self._regions.append(region_of(rings[0], name, reviewed))
                self._left_out.add("hole", index, len(rings) - 1)
            except OddFeatureError as error:
                self._left_out.add(str(error), index)
            except _NO_FEATURE:
                self._left_out.add("odd", index)

    def result(self, facts: object) -> NucleusFile:
        """Return the nuclei and regions gathered so far.

        Raises:
            UserError: What napari-muse has noted in the file is damaged, or nothing was gathered
                though there was something.
        """
        known = facts_from_json(facts)
        scheme = known.scheme
        notes = self._left_out.notes()
        if not self._count and not self._regions and self._left_out.faulty:
            raise UserError(f"It holds nothing that can be read. {' '.join(notes)}")
        tables = self._tables or [FeatureRows().table(self._left_out)]
        raw = pd.concat(tables, ignore_index=True)
        table = nucleus_table(
            raw["x"],
            raw["y"],
            raw["class_name"],
            score=raw["score"],
            status=raw["status"],
            model=raw["model"],
            ids=_whole_ids(raw["id"]),
        )
        check_numbering(self._colors, len(table), f"The property {self._class_key!r}")
        unnamed = int((table["class_name"] == UNCLASSIFIED).sum())
        if unnamed and (scheme is None or UNCLASSIFIED not in scheme.names):
            notes.append(unclassified_note(unnamed))
        if not len(table) and self._regions:
            were_read = counted(
                len(self._regions),
                "outline is an annotation and was read as a region",
                "outlines are annotations and were read as regions",
            )
            notes.append(f"{were_read}; {_IF_NUCLEI}")
        scheme = self._scheme() if scheme is None else scheme
        plane_zt = next(iter(self._part.planes), known.plane_zt)
        found = known._replace(scheme=scheme, regions=tuple(self._regions), plane_zt=plane_zt)
        return found.with_table(table, tuple(notes))

    def _scheme(self) -> ClassScheme | None:
        """Classes in the colours of the features, where they have any."""
        if not any(self._colors.values()):
            return None
        return ClassScheme(
            tuple(
                NucleusClass(c.name, self._colors[c.name] or c.color, c.key)
                for c in ClassScheme.from_names(sorted(self._colors)).classes
            )
        )


def _nucleus_of(feature: dict[str, Any]) -> dict[str, Any] | None:
    """The geometry of a cell's nucleus, where it has one that is somewhere."""
    nucleus = feature.get("nucleusGeometry")
    drawn = isinstance(nucleus, dict) and (nucleus.get("coordinates") or nucleus.get("geometries"))
    return nucleus if drawn else None


def _whole_ids(ids: pd.Series) -> npt.NDArray[np.int64]:
    """Ids of the features that have one of ours, and fresh ones for the rest; unique."""
    known = ids.notna().to_numpy() & ~ids.duplicated().to_numpy()
    result = np.zeros(len(ids), dtype=np.int64)
    result[known] = ids[known].astype(np.int64)
    n_fresh = int((~known).sum())
    top = int(result[known].max()) if known.any() else -1
    if n_fresh and top > np.iinfo(np.int64).max - n_fresh:
        return np.arange(len(ids))
    result[~known] = np.arange(max(top, -1) + 1, max(top, -1) + 1 + n_fresh)
    return result
