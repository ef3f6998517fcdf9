from __future__ import annotations

import json
import sqlite3
import zlib
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.nuclei.reviewed import reviewed_fields
from muse_core.nuclei.store import AnnotationStore
from muse_core.nuclei.store.packing import unpack_changes
from muse_core.nuclei.store.rows import EDITED

from .helpers import new_store

# The tables of version 1, as that version wrote them.
VERSION_1 = """
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
CREATE VIRTUAL TABLE nuclei_index USING rtree(id, x0, x1, y0, y1);
CREATE TABLE regions(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, vertices TEXT NOT NULL, reviewed INTEGER NOT NULL
) STRICT;
CREATE TABLE journal(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, annotator_id INTEGER NOT NULL,
    kind TEXT NOT NULL, label TEXT NOT NULL, of_seq INTEGER, changes BLOB NOT NULL
) STRICT;
CREATE TABLE next_id(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE undo_stack(position INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE undo_depth(depth INTEGER NOT NULL) STRICT;
INSERT INTO next_id VALUES ('nuclei', 3), ('regions', 4), ('classes', 2);
INSERT INTO undo_depth VALUES (0);
INSERT INTO slide VALUES ('slide.svs', 123, 'abc');
INSERT INTO models VALUES (1, 'm');
INSERT INTO classes VALUES (1, 'a', '#ff0000', '1', 0);
INSERT INTO nuclei VALUES (1, 10.5, 20.5, 1, 0.75, 0, 1), (2, 900, 30, 1, 1, 2, 1);
INSERT INTO regions VALUES
    (1, 'one', '[[0, 0], [9, 0], [0, 9]]', 1), (2, 'two', '[[50, 0], [59, 0], [50, 9]]', 1),
    (3, 'open', '[[70, 0], [79, 0], [70, 9]]', 0);
INSERT INTO nuclei_index VALUES (1, 10.5, 10.5, 20.5, 20.5), (2, 900, 900, 30, 30);
PRAGMA application_id = 1297437509;
PRAGMA user_version = 1;
"""


def test_a_file_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.muse"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.close()
    for _ in range(2):
        with AnnotationStore.open(path) as store:
            assert store.nuclei()["x"].tolist() == [10.5, 900]
            assert store.nuclei((800, 0, 1000, 100))["status"].tolist() == ["corrected"]
            assert store.nuclei((0, 0, 100, 100))["score"].tolist() == [0.75]
            assert store.holdout_by_region() == {1: False, 2: True}
    with AnnotationStore.open(path) as store:
        assert store.add(5000, 5000, "a") == 3
        assert store.nuclei((4999, 4999, 5001, 5001))["id"].tolist() == [3]


def test_the_mark_of_the_file_is_readable() -> None:
    assert (1297437509).to_bytes(4, "big") == b"MUSE"


def test_an_old_file_that_can_only_be_looked_at_is_read_as_it_would_be(tmp_path: Path) -> None:
    path = tmp_path / "old.muse"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.close()
    before = path.read_bytes()
    with AnnotationStore.open(path, read_only=True) as store:
        assert store.nuclei((800, 0, 1000, 100))["status"].tolist() == ["corrected"]
        assert [field.holdout for field in reviewed_fields(store)] == [False, True]
        with pytest.raises(UserError, match="looked at"):
            store.confirm([1])
    assert path.read_bytes() == before


def _write_the_journal_as_before_version_5(connection: sqlite3.Connection) -> None:
    """As compressed JSON of table, id, row before and row after."""
    entries = connection.execute("SELECT seq, changes FROM journal").fetchall()
    for seq, blob in entries:
        nuclei, changes = unpack_changes(blob)
        assert (nuclei.existed & nuclei.exists).all()
        columns = list(EDITED)
        rows = [
            ["nuclei", number, before, after]
            for number, before, after in zip(
                nuclei.ids.tolist(),
                nuclei.before[columns].tolist(),
                nuclei.after[columns].tolist(),
                strict=True,
            )
        ] + [[c.table, c.id, c.before, c.after] for c in changes]
        text = zlib.compress(json.dumps(rows).encode())
        connection.execute("UPDATE journal SET changes = ? WHERE seq = ?", (text, seq))
    connection.commit()


def test_edits_of_version_3_can_be_undone(tmp_path: Path) -> None:
    path = tmp_path / "old.muse"
    with new_store(path, n=3) as store:
        store.set_class([1], "b")
        store.merge_classes("b", "a")
    connection = sqlite3.connect(path)
    _write_the_journal_as_before_version_5(connection)
    connection.executescript(
        "DROP TABLE ingests; DROP TABLE class_alias; DROP INDEX journal_of_seq;"
        "DROP TABLE prediction_arrays; DROP TABLE predictions; DROP TABLE live_predictions;"
        "DELETE FROM next_id WHERE name IN ('detections', 'predictions');"
        "PRAGMA user_version = 3;"
    )
    connection.close()
    with AnnotationStore.open(path) as store:
        assert store.undo() is not None
        assert store.count() == {"a": 2, "b": 1}
        assert store.undo() is not None
        assert store.redo() is not None
        store.begin_detection([3], 1.0)
        store.end_detection("done")
        assert store.redo() is None
        assert store.count() == {"a": 1, "b": 1}
