"""Many nuclei at once: detections and files, inside the caller's transaction; not edits."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei.scheme import NucleusClass
from muse_core.nuclei.store.edits import UNCERTAINTY
from muse_core.nuclei.store.rows import STORED_ROW, NucleusRows, nucleus_rows, take_ids
from muse_core.nuclei.store.spatial_index import ensure_squares
from muse_core.nuclei.table import Status

Uncertainty = Mapping[str, npt.ArrayLike]


def insert_table(
    connection: sqlite3.Connection, table: pd.DataFrame, uncertainty: Uncertainty
) -> npt.NDArray[np.int64]:
    """Insert a NucleusTable under new ids, which are returned in its order.

    Args:
        connection: In a transaction.
        table: A valid NucleusTable of classes the store has.
        uncertainty: By the names of UNCERTAINTY, (N,) each.

    Raises:
        UserError: The store lacks a class.
    """
    rows = np.zeros(len(table), dtype=STORED_ROW)
    first = take_ids(connection, "nuclei", len(table))
    rows["id"] = np.arange(first, first + len(table))
    for name in ("x", "y", "score"):
        rows[name] = table[name]
    rows["class_id"] = class_numbers(connection, table["class_name"])
    rows["status"] = _numbers(table["status"], {s.word: int(s) for s in Status})
    rows["model_id"] = model_numbers(connection, table["model"])
    for name in UNCERTAINTY:
        rows[name] = uncertainty.get(name, np.nan)
    insert_rows(connection, rows)
    return rows["id"].copy()


def note_ingest(connection: sqlite3.Connection, distance_px: float) -> None:
    """Keep which nuclei come in from here on other than by an edit, and end what could be redone.

    What could be redone may speak of nuclei that are replaced, or lie where some come.

    Args:
        connection: In a transaction.
        distance_px: Up to this distance one of them and one that is here are the same nucleus.
    """
    connection.execute("DELETE FROM undo_stack WHERE position > (SELECT depth FROM undo_depth)")
    connection.execute(
        "INSERT INTO ingests SELECT coalesce(max(seq), 0),"
        " (SELECT value FROM next_id WHERE name = 'nuclei'), ? FROM journal WHERE true"
        " ON CONFLICT(after_seq) DO UPDATE SET"
        " distance_px = max(distance_px, excluded.distance_px)",
        (distance_px,),
    )


def insert_rows(connection: sqlite3.Connection, rows: NucleusRows, table: str = "nuclei") -> None:
    """Insert rows as they are."""
    names = STORED_ROW.names or ()
    # SQLite keeps NaN as NULL, which reads as NaN again.
    connection.executemany(
        f"INSERT INTO {table}({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        zip(*(rows[name].tolist() for name in names), strict=True),
    )
    if table == "nuclei":
        ensure_squares(connection, rows["x"], rows["y"])


def insert_classes(connection: sqlite3.Connection, classes: Sequence[NucleusClass]) -> None:
    """Put classes after those that are there."""
    first = take_ids(connection, "classes", len(classes))
    connection.executemany(
        "INSERT INTO classes VALUES (?, ?, ?, ?, ?)",
        [(first + i, c.name, c.color, c.key, first + i) for i, c in enumerate(classes)],
    )


def remove(connection: sqlite3.Connection, ids: Sequence[int] | npt.NDArray[np.int64]) -> None:
    """Drop nuclei for good."""
    connection.executemany("DELETE FROM nuclei WHERE id = ?", [(int(i),) for i in ids])


def set_aside(connection: sqlite3.Connection, ids: npt.NDArray[np.int64]) -> None:
    """Move nuclei to where they wait for the end of a detection."""
    insert_rows(connection, nucleus_rows(connection, ids.tolist()), "aside")
    remove(connection, ids)


def model_numbers(connection: sqlite3.Connection, names: pd.Series) -> npt.NDArray[np.int32]:
    """(N,) ids of models, which are made where they are new."""
    connection.executemany(
        "INSERT OR IGNORE INTO models(name) VALUES (?)", [(name,) for name in names.unique()]
    )
    return _numbers(names, dict(connection.execute("SELECT name, id FROM models").fetchall()))


def class_numbers(
    connection: sqlite3.Connection, names: pd.Series, new: Mapping[str, int] | None = None
) -> npt.NDArray[np.int32]:
    """(N,) ids of classes, those that are there and new ones; raises UserError for others."""
    known = dict(connection.execute("SELECT name, id FROM classes").fetchall()) | dict(new or {})
    unknown = sorted(set(names.unique()) - set(known))
    if unknown:
        raise UserError(f"The store has no class {unknown[0]!r}; add it or map it to another.")
    return _numbers(names, known)


def _numbers(names: pd.Series, known: Mapping[str, int]) -> npt.NDArray[np.int32]:
    """(N,) numbers of names; each different name is looked up once."""
    codes, unique = pd.factorize(names)
    result: npt.NDArray[np.int32] = np.array([known[name] for name in unique], dtype=np.int32)[
        codes
    ]
    return result
