"""Nuclei of a batch of GeoJSON features, as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from muse_core.nuclei.formats import qupath
from muse_core.nuclei.formats.geojson.left_out import LeftOut
from muse_core.nuclei.formats.geojson.write import nucleus_id
from muse_core.nuclei.formats.polygons import readable_centres
from muse_core.nuclei.naming import fault_of_name, one_spelling
from muse_core.nuclei.table import FARTHEST_PX, STATUSES, Status

Record = tuple[Any, ...]


class OddFeatureError(ValueError):
    """A feature that cannot be read; its text is a reason of :class:`LeftOut`."""


class FeatureRows:
    """Rows of nuclei; outlines are kept until their centres are computed together."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._indices: list[int] = []
        self._places: list[tuple[float, float]] = []
        self._polygons: list[list[Any]] = []
        self._owners: list[int] = []

    def __len__(self) -> int:
        return len(self._records)

    def add_points(self, points: Sequence[Any], record: Record, index: int) -> None:
        """Add a nucleus for each point; none at all if one of them is no point."""
        places = [_place(point) for point in points]
        self._places += places
        self._records += [record] * len(places)
        self._indices += [index] * len(places)

    def add_polygons(self, polygons: list[Any], record: Record, index: int) -> None:
        """Add one nucleus for all the polygons."""
        self._polygons += polygons
        self._owners += [len(self._records)] * len(polygons)
        self._records.append(record)
        self._indices.append(index)
        self._places.append((np.nan, np.nan))

    def table(self, left_out: LeftOut) -> pd.DataFrame:
        """The rows that have a position; the others are counted in ``left_out``."""
        columns = ["id", "class_name", "score", "status", "model"]
        table = pd.DataFrame(self._records, columns=columns, dtype=object)
        xy = np.array(self._places, dtype=np.float64).reshape(-1, 2)
        odd = np.zeros(len(xy), dtype=bool)
        if self._polygons:
            drawn, odd = readable_centres(self._polygons, self._owners, len(xy))
            xy = np.where(np.isnan(xy), drawn, xy)
        table["x"], table["y"] = xy[:, 0], xy[:, 1]
        placed = np.isfinite(xy).all(axis=1)
        far = placed & (np.abs(xy) > FARTHEST_PX).any(axis=1)
        for reason, rows in (("odd", odd), ("place", ~placed & ~odd), ("far", far)):
            for row in np.flatnonzero(rows):
                left_out.add(reason, self._indices[row])
        return table.loc[np.flatnonzero(placed & ~far)]


def feature_record(uuid: object, properties: dict[str, object], name: str) -> Record:
    """Id or None, class, score, status and model of a feature."""
    metadata = properties.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    status, model = metadata.get("status"), one_spelling(str(metadata.get("model", "")))
    score = qupath.score(properties)
    check_name(model)
    return (
        nucleus_id(uuid),
        name,
        1.0 if score is None else score,
        status if status in STATUSES else Status.PREDICTED.word,
        model,
    )


def check_name(text: str) -> None:
    """Raise OddFeatureError for a text that cannot be a name."""
    if fault_of_name(text):
        raise OddFeatureError("name")


def _place(point: Any) -> tuple[float, float]:
    if not isinstance(point, list):
        raise OddFeatureError("odd")
    if not point:
        return np.nan, np.nan
    x, y = point[:2]
    numbers = {type(x), type(y)} <= {int, float, type(None)}
    if not numbers:
        raise OddFeatureError("odd")
    return np.nan if x is None else float(x), np.nan if y is None else float(y)
