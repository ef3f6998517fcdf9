"""A file is made whole or not at all, and can be looked at wherever it lies."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.nuclei.store import AnnotationStore
from muse_core.nuclei.store.database import Database, UnfinishedStoreError

from .helpers import new_store


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, sqlite3.OperationalError])
def test_what_cannot_be_made_to_its_end_leaves_no_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise error("the disk is full")

    path = tmp_path / "s.muse"
    with pytest.raises((error, UserError), match="the disk is full"):
        Database(path, create=True, fill=fail)
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == []
    new_store(path).close()


def test_the_tables_are_never_there_without_the_slide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.muse"
    tables = []

    def look(*_: object) -> None:
        with sqlite3.connect(path) as other:
            tables.extend(other.execute("SELECT name FROM sqlite_master"))
        other.close()

    monkeypatch.setattr("muse_core.nuclei.store.store.insert_classes", look)
    new_store(path).close()
    assert tables == []


def test_a_file_made_meanwhile_by_another_program_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.muse"
    new_store(path, n=2).close()
    exists = Path.exists
    answers = [False]

    def late(self: Path) -> bool:
        return answers.pop() if self == path and answers else exists(self)

    monkeypatch.setattr(Path, "exists", late)
    with pytest.raises(UserError, match="exists already"):
        new_store(path)
    with AnnotationStore.open(path) as store:
        assert len(store.nuclei()) == 2


def test_an_empty_file_is_an_unfinished_store(tmp_path: Path) -> None:
    (tmp_path / "s.muse").touch()
    with pytest.raises(UnfinishedStoreError, match="never finished"):
        AnnotationStore.open(tmp_path / "s.muse")
