"""The tables of a store, and how older files are brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

import numpy as np

from muse_core.errors import UserError
from muse_core.nuclei.store.holdout import decide
from muse_core.nuclei.store.spatial_index import ensure_squares, square_sql
from muse_core.nuclei.store.sqlite_errors import damaged

APPLICATION_ID = 0x4D555345
"""Marks the file as ours in SQLite's header: "MUSE"."""

SCHEMA_VERSION = 5
_FIRST_VERSION = 1
_SMALL_TABLES = (
    "slide", "annotators", "models", "classes", "regions", "next_id", "undo_stack", "undo_depth",
    "detection", "hold_out", "predictions", "live_predictions",
)  # fmt: skip

# Tables of version 1; new files go through the same migrations as old ones.
_TABLES = """
CREATE TABLE slide(
    name TEXT NOT NULL, size_bytes INTEGER NOT NULL, fingerprint TEXT NOT NULL
) STRICT;
CREATE TABLE annotators(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE models(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE classes(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, color TEXT NOT NULL, key TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;
CREATE TABLE nuclei(
    id INTEGER PRIMARY KEY, x REAL NOT NULL, y REAL NOT NULL, class_id INTEGER NOT NULL,
    score REAL NOT NULL, status INTEGER NOT NULL, model_id INTEGER NOT NULL
) STRICT;
CREATE TABLE regions(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, vertices TEXT NOT NULL, reviewed INTEGER NOT NULL
) STRICT;
CREATE TABLE journal(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, annotator_id INTEGER NOT NULL,
    kind TEXT NOT NULL, label TEXT NOT NULL, of_seq INTEGER, changes BLOB NOT NULL
) STRICT;
CREATE TABLE next_id(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO next_id VALUES ('nuclei', 1), ('regions', 1), ('classes', 1);
CREATE TABLE undo_stack(position INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE undo_depth(depth INTEGER NOT NULL) STRICT;
INSERT INTO undo_depth VALUES (0);
"""

# Version 2: the R-tree holds the squares that nuclei lie in, each nucleus knows its square. A tree
# of a million points takes a minute to fill. Scores of uncertainty say what to look at next; what a
# running detection replaces waits aside until it ends.
_SQUARES = f"""
ALTER TABLE nuclei ADD COLUMN square INTEGER GENERATED ALWAYS AS ({square_sql()}) VIRTUAL;
ALTER TABLE nuclei ADD COLUMN entropy REAL;
ALTER TABLE nuclei ADD COLUMN margin REAL;
ALTER TABLE nuclei ADD COLUMN disagreement REAL;
CREATE INDEX nuclei_square ON nuclei(square);
CREATE VIRTUAL TABLE squares USING rtree(id, x0, x1, y0, y1);
CREATE TABLE aside(
    id INTEGER PRIMARY KEY, x REAL NOT NULL, y REAL NOT NULL, class_id INTEGER NOT NULL,
    score REAL NOT NULL, status INTEGER NOT NULL, model_id INTEGER NOT NULL,
    entropy REAL, margin REAL, disagreement REAL
) STRICT;
CREATE TABLE detection(first_id INTEGER NOT NULL, distance_px REAL NOT NULL) STRICT;
"""


# Version 3: whether a reviewed region is in the holdout was worked out from the others, and changed
# with them. The outline stays when the region goes.
_HOLDOUT = """
CREATE TABLE hold_out(
    region_id INTEGER PRIMARY KEY, held INTEGER NOT NULL, vertices TEXT NOT NULL
) STRICT;
"""

# Version 4: an import is an edit. What came in otherwise, and after which edit, is kept, so that
# undo brings nothing back where a detection has looked since; a class that was dropped and came
# again under its name stands for the one that older edits speak of.
_INGESTS = """
CREATE TABLE ingests(
    after_seq INTEGER PRIMARY KEY, first_id INTEGER NOT NULL, distance_px REAL NOT NULL
) STRICT;
CREATE TABLE class_alias(id INTEGER PRIMARY KEY, stands_for INTEGER NOT NULL) STRICT;
CREATE INDEX journal_of_seq ON journal(of_seq);
INSERT INTO next_id VALUES ('detections', 1);
"""

# Version 5: what a classifier says of many nuclei is kept in arrays, and which of these are live in
# one row; a million rows need not be written for each correction.
_PREDICTIONS = """
CREATE TABLE prediction_arrays(
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, data BLOB NOT NULL
) STRICT;
CREATE TABLE predictions(
    revision INTEGER PRIMARY KEY, seq INTEGER NOT NULL, model TEXT NOT NULL,
    count INTEGER NOT NULL, classes TEXT NOT NULL, nuclei INTEGER NOT NULL,
    class_index INTEGER NOT NULL, probability INTEGER NOT NULL
) STRICT;
CREATE TABLE live_predictions(id INTEGER PRIMARY KEY, revision INTEGER NOT NULL) STRICT;
INSERT INTO next_id VALUES ('predictions', 1);
"""


def _to_version_2(connection: sqlite3.Connection) -> None:
    _run(connection, _SQUARES)
    connection.execute("DROP TABLE IF EXISTS nuclei_index")
    rows = connection.execute("SELECT x, y FROM nuclei").fetchall()
    xy = np.array(rows, dtype=np.float64).reshape(-1, 2)
    ensure_squares(connection, xy[:, 0], xy[:, 1])


def _to_version_3(connection: sqlite3.Connection) -> None:
    _run(connection, _HOLDOUT)
    if connection.execute("SELECT 1 FROM slide").fetchone():
        decide(connection)


def _to_version_4(connection: sqlite3.Connection) -> None:
    _run(connection, _INGESTS)


def _to_version_5(connection: sqlite3.Connection) -> None:
    _run(connection, _PREDICTIONS)


_MIGRATIONS: Mapping[int, Callable[[sqlite3.Connection], None]] = {
    1: _to_version_2,
    2: _to_version_3,
    3: _to_version_4,
    4: _to_version_5,
}
"""From a version to the next."""


def create_schema(connection: sqlite3.Connection) -> None:
    """Make the tables in a new file; the caller commits."""
    _run(connection, _TABLES)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    migrate(connection, _FIRST_VERSION)


def check_schema(connection: sqlite3.Connection, name: str) -> int:
    """Version of a file's tables.

    Raises:
        UserError: The file is no store, or of a newer version than this program knows.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if application != APPLICATION_ID or version < _FIRST_VERSION:
        raise UserError(f"{name} is not an annotation store of napari-muse.")
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{name} was written by a newer napari-muse (version {version} of the file,"
            f" {SCHEMA_VERSION} is known here); update napari-muse to open it."
        )
    # A file from elsewhere may hold a view that never ends, or a trigger; ours has neither.
    code = "SELECT 1 FROM sqlite_master WHERE type IN ('view', 'trigger')"
    if connection.execute(code).fetchone():
        raise UserError(f"{name} holds code and is no annotation store of napari-muse.")
    return version


def check_small_tables(connection: sqlite3.Connection, name: str) -> None:
    """Check the content of the small tables, which everything else depends on.

    Nuclei and journal, which are long, are checked when they are read.

    Raises:
        UserError: The file is damaged.
    """
    for table in _SMALL_TABLES:
        found = str(connection.execute(f"PRAGMA quick_check({table})").fetchone()[0])
        if found != "ok":
            # SQLite's own sentence; a second line says where in the file.
            raise damaged(name, found.splitlines()[-1].rstrip("."))
    counts = connection.execute(
        "SELECT (SELECT count(*) FROM next_id WHERE name IN ('nuclei', 'regions', 'classes')),"
        " (SELECT count(*) FROM undo_depth)"
    ).fetchone()
    if counts != (3, 1):
        raise damaged(name, "its counters are missing")


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables to :data:`SCHEMA_VERSION`, step by step; the caller commits."""
    for step in range(version, SCHEMA_VERSION):
        _MIGRATIONS[step](connection)
        connection.execute(f"PRAGMA user_version = {step + 1}")


def _run(connection: sqlite3.Connection, script: str) -> None:
    # executescript would commit what the caller has begun.
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(statement)
