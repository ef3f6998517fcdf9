"""Nuclei from GeoJSON: our own, QuPath's, and those of programs that write for QuPath."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei import qupath
from muse_core.nuclei.feature_stream import FeatureStream
from muse_core.nuclei.gc_pause import without_collector
from muse_core.nuclei.geojson_write import nucleus_id
from muse_core.nuclei.nucleus_file import (
    UNCLASSIFIED,
    NucleusFile,
    check_classes,
    check_count,
    facts_from_json,
)
from muse_core.nuclei.polygons import polygon_centres
from muse_core.nuclei.regions import NamedRegion, corners
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.table import STATUSES, nucleus_table

_NOT_NUCLEI = ("tile", "tmacore", "root")
_MAX_DEPTH = 50
_MAX_REGIONS = 100_000
_MAX_CORNERS = 10_000_000
_LONGEST_TEXT = 1000


def read_geojson(path: str | Path, outlines_are_nuclei: bool = False) -> NucleusFile:
    """Read nuclei and regions; outlines of nuclei become their area-weighted centres.

    Memory stays at a few megabytes beside the table, unless one feature is larger. Annotations with
    an area are regions, and lose their holes. Every point of a point annotation is a nucleus. Of a
    cell its nucleus counts where it has one. Tiles and TMA cores are left out.

    Args:
        path: A FeatureCollection, a list of features or one feature; ``.gz`` is unpacked. Level-0
            pixels, as QuPath writes them.
        outlines_are_nuclei: Take each polygon of an annotation for a nucleus, as programs write it
            that put all nuclei of a class into one annotation.

    Raises:
        UserError: The file is missing, not GeoJSON, incomplete, or holds a bad value.
    """
    source = Path(path)
    if not source.is_file():
        raise UserError(f"There is no file {source}.")
    collector = _Collector(source.name, outlines_are_nuclei)
    try:
        with _opened(source) as file, without_collector():
            stream = FeatureStream(file, source.name)
            for features in stream:
                collector.add(features)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{source.name} cannot be read: {error}.") from error
    try:
        return collector.result(stream.members.get("muse"))
    except UserError as error:
        raise UserError(f"{source.name}: {error}") from error


def _opened(path: Path) -> BinaryIO:
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


class _Collector:
    """Gathers nuclei and regions from features."""

    def __init__(self, name: str, outlines_are_nuclei: bool) -> None:
        self._name = name
        self._outlines_are_nuclei = outlines_are_nuclei
        self._tables: list[pd.DataFrame] = []
        self._count = 0
        self._regions: list[NamedRegion] = []
        self._corners = 0
        self._colors: dict[str, str] = {}
        self._skipped: Counter[str] = Counter()

    def add(self, features: list[Any]) -> None:
        """Take a batch of features, and the objects QuPath has put under them."""
        rows = _Rows()
        try:
            for feature in features:
                self._take(feature, rows, 0)
            table = rows.table(self._skipped)
        except UserError as e:
            raise UserError(f"{self._name}: {e}") from e
        except (TypeError, ValueError, KeyError, IndexError, OverflowError, AttributeError) as e:
            raise UserError(f"{self._name} holds a feature that is not one of GeoJSON.") from e
        self._count += len(table)
        check_count(self._count, self._name)
        if len(self._regions) > _MAX_REGIONS or self._corners > _MAX_CORNERS:
            raise UserError(
                f"{self._name} holds more than {_MAX_REGIONS:,} regions or {_MAX_CORNERS:,} corners"
                " of regions; if the outlines are nuclei, say so."
            )
        self._tables.append(table)

    def _take(self, feature: dict[str, Any], rows: _Rows, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        properties = feature.get("properties") or {}
        kind = qupath.object_type(feature, properties)
        for child in properties.get("childObjects") or ():
            self._take(child, rows, depth + 1)
        geometry = feature.get("nucleusGeometry") or feature["geometry"]
        if kind in _NOT_NUCLEI:
            self._skipped[kind] += kind != "root"
            return
        if geometry is None:
            self._skipped["place"] += 1
            return
        shape, coordinates = geometry["type"], geometry["coordinates"]
        area = shape in ("Polygon", "MultiPolygon")
        if kind == "annotation" and area and not self._outlines_are_nuclei:
            self._add_regions(properties, [coordinates] if shape == "Polygon" else coordinates)
            return
        name, key = qupath.class_name(properties)
        name = name or UNCLASSIFIED
        if name not in self._colors:
            self._colors[name] = qupath.class_color(properties)
            if key:
                check_classes(len(self._colors), f"The property {key!r}")
        record = rows.record(feature.get("id"), properties, name)
        if shape == "Point":
            rows.add_points([coordinates], record)
        elif shape == "MultiPoint":
            check_count(self._count + len(rows) + len(coordinates), "It")
            rows.add_points(coordinates, record)
        elif area and kind == "annotation":
            for polygon in [coordinates] if shape == "Polygon" else coordinates:
                rows.add_polygons([polygon], record)
        elif area:
            rows.add_polygons([coordinates] if shape == "Polygon" else coordinates, record)
        else:
            self._skipped["line"] += 1

    def _add_regions(self, properties: dict[str, Any], polygons: list[Any]) -> None:
        name = str(properties.get("name") or qupath.class_name(properties)[0])
        metadata = properties.get("metadata") or {}
        _check_text(name)
        for rings in polygons:
            self._corners += len(rings[0])
            self._skipped["hole"] += len(rings) - 1
            reviewed = str(metadata.get("reviewed", "")).lower() == "true"
            self._regions.append(NamedRegion(corners(rings[0]), name, reviewed))

    def result(self, facts: object) -> NucleusFile:
        """Everything gathered."""
        scheme, mpp, _ = facts_from_json(facts)
        raw = (
            pd.concat(self._tables, ignore_index=True) if self._tables else _Rows().table(Counter())
        )
        table = nucleus_table(
            raw["x"],
            raw["y"],
            raw["class_name"],
            score=raw["score"],
            status=raw["status"],
            model=raw["model"],
            ids=_whole_ids(raw["id"]),
        )
        notes = _notes(self._skipped)
        unnamed = int((table["class_name"] == UNCLASSIFIED).sum())
        if unnamed and (scheme is None or UNCLASSIFIED not in scheme.names):
            notes.append(f"{unnamed:,} nuclei without a class are now {UNCLASSIFIED!r}.")
        if not len(table) and self._regions:
            notes.append(
                f"All {len(self._regions):,} outlines are annotations and were read as regions;"
                " if they are nuclei, say so."
            )
        return NucleusFile(
            table,
            self._scheme() if scheme is None else scheme,
            mpp,
            tuple(self._regions),
            tuple(notes),
        )

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


class _Rows:
    """Nuclei of a batch: points as they are, outlines until their centres are computed together."""

    def __init__(self) -> None:
        self._records: list[tuple[Any, ...]] = []
        self._places: list[tuple[float, float]] = []
        self._polygons: list[list[Any]] = []
        self._owners: list[int] = []

    def __len__(self) -> int:
        return len(self._records)

    @staticmethod
    def record(uuid: object, properties: dict[str, Any], name: str) -> tuple[Any, ...]:
        """Id or None, class, score, status and model of a feature."""
        metadata = properties.get("metadata") or {}
        status, model = metadata.get("status"), str(metadata.get("model", ""))
        score = qupath.score(properties)
        _check_text(name)
        _check_text(model)
        return (
            nucleus_id(uuid),
            name,
            1.0 if score is None else score,
            status if status in STATUSES else "predicted",
            model,
        )

    def add_points(self, points: list[Any], record: tuple[Any, ...]) -> None:
        """One nucleus for each point."""
        for point in points:
            self._records.append(record)
            self._places.append((float(point[0]), float(point[1])))

    def add_polygons(self, polygons: list[Any], record: tuple[Any, ...]) -> None:
        """One nucleus for all the polygons."""
        self._polygons += polygons
        self._owners += [len(self._records)] * len(polygons)
        self._records.append(record)
        self._places.append((np.nan, np.nan))

    def table(self, skipped: Counter[str]) -> pd.DataFrame:
        """Rows with a place; the others are counted."""
        columns = ["id", "class_name", "score", "status", "model"]
        table = pd.DataFrame(self._records, columns=columns, dtype=object)
        xy = np.array(self._places, dtype=np.float64).reshape(-1, 2)
        if self._polygons:
            drawn = polygon_centres(self._polygons, self._owners, len(xy))
            xy = np.where(np.isnan(xy), drawn, xy)
        table["x"], table["y"] = xy[:, 0], xy[:, 1]
        placed = np.isfinite(xy).all(axis=1)
        skipped["place"] += int((~placed).sum())
        return table.loc[np.flatnonzero(placed)]


def _check_text(text: str) -> None:
    # A small packed file could otherwise unpack to names that fill the memory.
    if len(text) > _LONGEST_TEXT:
        raise ValueError("a name of more than a thousand characters")


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


_WHY = {
    "tile": "tiles were left out",
    "tmacore": "TMA cores were left out",
    "line": "lines were left out",
    "place": "objects without a place were left out",
    "hole": "holes of regions were filled",
}


def _notes(skipped: Counter[str]) -> list[str]:
    return [f"{skipped[key]:,} {what}." for key, what in _WHY.items() if skipped[key]]
