"""Read rows of a store and apply the live predictions to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib import recfunctions

from muse_core.errors import UserError
from muse_core.nuclei.store.predictions import Predictions
from muse_core.nuclei.store.rows import NUCLEUS_ROW, STORED_ROW, NucleusRows
from muse_core.nuclei.table import STATUSES, Status, nucleus_table

Bounds = tuple[float, float, float, float]
_INSIDE = (
    "s.x1 >= :x0 AND s.x0 <= :x1 AND s.y1 >= :y0 AND s.y0 <= :y1"
    " AND n.x BETWEEN :x0 AND :x1 AND n.y BETWEEN :y0 AND :y1"
)


def shown_rows(stored: NucleusRows, live: Predictions | None) -> NucleusRows:
    """Rows as they are shown, with the live predictions applied.

    Args:
        stored: (N,) of STORED_ROW.
        live: The live predictions.

    Returns:
        (N,) of NUCLEUS_ROW.
    """
    rows = np.empty(len(stored), dtype=NUCLEUS_ROW)
    recfunctions.assign_fields_by_name(rows, stored, zero_unassigned=False)
    rows["probability"] = np.nan
    if live is not None:
        live.relabel(rows)
    return rows


def stored_nuclei(
    connection: sqlite3.Connection, bounds: Bounds | None, with_deleted: bool
) -> NucleusRows:
    """Nuclei of a rectangle as (N,) of STORED_ROW, by id; None is the whole slide."""
    where, values = ("1", {}) if bounds is None else (_INSIDE, _box(bounds))
    source = "nuclei n" if bounds is None else "squares s JOIN nuclei n ON n.square = s.id"
    if not with_deleted:
        where += f" AND n.status != {Status.DELETED:d}"
    columns = ", ".join(f"n.{name}" for name in STORED_ROW.names or ())
    found = connection.execute(
        f"SELECT {columns} FROM {source} WHERE {where} ORDER BY n.id", values
    )
    return np.fromiter(found, dtype=STORED_ROW)


def table_of(connection: sqlite3.Connection, rows: NucleusRows) -> pd.DataFrame:
    """Rows as a NucleusTable; raises UserError where the store is damaged."""
    return nucleus_table(
        rows["x"],
        rows["y"],
        _named(rows["class_id"], connection.execute("SELECT id, name FROM classes").fetchall()),
        score=rows["score"],
        status=_named(rows["status"], list(enumerate(STATUSES))),
        model=_named(
            rows["model_id"], connection.execute("SELECT id, name FROM models").fetchall()
        ),
        ids=rows["id"],
    )


def count_by_class(
    connection: sqlite3.Connection, live: Predictions | None, class_ids: Sequence[int]
) -> npt.NDArray[np.int64]:
    """(K,) nuclei that are not deleted, of each class."""
    kind = np.dtype([("id", np.int64), ("class_id", np.int32), ("status", np.uint8)])
    if live is None:
        numbers = dict(
            connection.execute(
                f"SELECT class_id, count(*) FROM nuclei WHERE status != {Status.DELETED:d}"
                " GROUP BY class_id"
            ).fetchall()
        )
        return np.array([numbers.get(number, 0) for number in class_ids], dtype=np.int64)
    query = f"SELECT id, class_id, status FROM nuclei WHERE status != {Status.DELETED:d}"
    rows = np.fromiter(connection.execute(query), dtype=kind)
    found, at = live.find(rows["id"])
    found &= rows["status"] == Status.PREDICTED
    rows["class_id"][found] = live.class_ids[at[found]]
    counts = np.bincount(rows["class_id"], minlength=max(class_ids, default=0) + 1)
    return counts[list(class_ids)]


def _named(numbers: npt.NDArray[Any], names: Sequence[tuple[Any, ...]]) -> Any:
    """Names of (N,) numbers, as an object array; raises UserError for a number without a name."""
    known = np.array(sorted(number for number, _ in names), dtype=np.int64)
    in_order = np.array([name for _, name in sorted(names)], dtype=object)
    if not len(numbers):
        return np.zeros(0, dtype=object)
    at = np.searchsorted(known, numbers).clip(0, max(len(known) - 1, 0))
    if not len(known) or (known[at] != numbers).any():
        raise UserError("This store is damaged: a nucleus has no class, no status or no model.")
    return in_order[at]


def _box(bounds: Bounds) -> Mapping[str, float]:
    return dict(zip(("x0", "y0", "x1", "y1"), map(float, bounds), strict=True))
