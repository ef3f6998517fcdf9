"""Stores with changed bytes: each gives one error message."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import AnnotationStore, SlideIdentity

from .helpers import new_store


def _changed(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))


def _use(path: Path, read_only: bool) -> None:
    with AnnotationStore.open(path, "me", read_only=read_only) as store:
        _ = store.slide, store.classes, store.revision
        store.rows()
        store.nuclei()
        store.count()
        store.regions()
        if not read_only:
            store.add(1.0, 2.0, "a")
            store.undo()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "s.muse"
    with new_store(path, 3) as made:
        made.add_region([(0, 0), (9, 0), (9, 9)], reviewed=True, name="first field")
        made.add(5.0, 5.0, "b")
    return path


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"slide.svs", b"slid\xff.svs"),  # a text of a row
        (b"first field", b"first\x80field"),
        (b"CREATE TABLE classes(", b"CREATE TABLE cla\xffses("),  # the tables themselves
        (b"CREATE TABLE journal(", b"CREATE TABLE \xfeournal("),
        (b"color TEXT NOT NULL", b"c\xe9lor TEXT NOT NULL"),
        (b"fingerprint TEXT NOT NULL", b"finger\xffrint TEXT NOT NULL"),
        (b"value INTEGER NOT NULL", b"v\xffl\xffe INTEGER NOT NULL"),
    ],
)
def test_text_that_is_none_gets_a_sentence(
    store: Path, old: bytes, new: bytes, read_only: bool
) -> None:
    _changed(store, old, new)
    with pytest.raises(UserError, match=r"^[^\n]*s\.muse[^\n]*$"):
        _use(store, read_only)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE classes SET name = NULL WHERE id = 1", "NULL value in classes.name"),
        ("DELETE FROM next_id WHERE name = 'nuclei'", "its counters are missing"),
        ("DELETE FROM undo_depth", "its counters are missing"),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_tables_that_lack_what_they_must_hold_are_damaged(
    store: Path, change: str, said: str, read_only: bool
) -> None:
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_master SET sql = replace(replace(sql, ' NOT NULL', ''), ' STRICT', '')"
    )
    connection.commit()
    connection.close()
    connection = sqlite3.connect(store)
    connection.execute(change)
    connection.commit()
    connection.execute("PRAGMA writable_schema = ON")
    for name in ("classes", "next_id", "undo_depth", "regions"):
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ' TEXT', ' TEXT NOT NULL') || ' STRICT'"
            " WHERE name = ?",
            (name,),
        )
    connection.commit()
    connection.close()
    with pytest.raises(
        UserError, match=rf"^s\.muse is damaged: {said}\. muse rescue reads what is left of it\.$"
    ):
        AnnotationStore.open(store, read_only=read_only)


def test_what_sqlite_quotes_of_a_table_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "s.muse"
    identity = SlideIdentity("s.svs", 1, "a")
    AnnotationStore.create(path, identity, ClassScheme.from_names(["tumor"])).close()
    content = path.read_bytes()
    described = b"TEXT NOT NULL, key TEXT"
    assert described in content
    path.write_bytes(content.replace(described, b"`" + described[1:]))
    with pytest.raises(UserError) as caught:
        AnnotationStore.open(path, "me")
    assert "unrecognized token" in str(caught.value)
    assert "\n" not in str(caught.value)
