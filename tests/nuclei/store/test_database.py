"""A file is created as a whole or not at all, and can be read from anywhere."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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
    tables: list[str] = []

    def look(*_: object) -> None:
        with sqlite3.connect(path) as other:
            tables.extend(other.execute("SELECT name FROM sqlite_master"))
        other.close()

    monkeypatch.setattr("muse_core.nuclei.store.ingesting.insert_classes", look)
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


_LOOK = """
import os, sys
from muse_core.errors import UserError
from muse_core.nuclei.store import AnnotationStore
if os.geteuid() == 0:
    os.setuid(65534)
try:
    with AnnotationStore.open(sys.argv[1]) as store:
        print(len(store.nuclei()), store.read_only)
        store.delete([1])
except UserError as error:
    print(error)
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may access, unlike those pytest creates."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        Path(folder).chmod(0o755)


def _look(path: Path) -> list[str]:
    """A store as seen by a user without permissions: nuclei, whether read-only, why not written."""
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, str(path)], capture_output=True, text=True, cwd="/"
    )
    if "PermissionError" in done.stderr:
        pytest.skip("other users may not do here what they need to")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no permissions of this kind")
@pytest.mark.parametrize("lock_is_writable", [False, True])
def test_a_store_in_a_read_only_folder_can_be_looked_at(
    shared: Path, lock_is_writable: bool
) -> None:
    path = shared / "s.muse"
    new_store(path, n=2).close()
    path.chmod(0o666)
    if lock_is_writable:
        (shared / "s.muse.lock").touch()
        (shared / "s.muse.lock").chmod(0o666)
    shared.chmod(0o555)
    why = "s.muse cannot be written where it lies; here it can only be looked at."
    assert _look(path) == ["2 True", why]
    assert [p.name for p in shared.iterdir() if p.name.startswith("s.muse-")] == []


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no permissions of this kind")
def test_edits_left_in_the_log_of_a_read_only_folder_are_not_passed_over(shared: Path) -> None:
    path = shared / "s.muse"
    with new_store(path, n=2):
        log = (shared / "s.muse-wal").read_bytes()
    (shared / "s.muse-wal").write_bytes(log)
    shared.chmod(0o555)
    (sentence,) = _look(path)
    assert "not closed properly" in sentence


def _names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


@pytest.mark.parametrize("use", ["read", "leave", "damaged"])
def test_looking_leaves_nothing_beside_a_store(tmp_path: Path, use: str) -> None:
    path = tmp_path / "s.muse"
    new_store(path, n=2).close()
    if use == "damaged":
        path.write_bytes(path.read_bytes().replace(b"nuclei", b"nuclex"))
    before, names = path.read_bytes(), _names(tmp_path)
    with contextlib.suppress(UserError), AnnotationStore.open(path, read_only=True) as store:
        if use == "read":
            assert len(store.nuclei()) == 2
            assert _names(tmp_path) > names, "SQLite makes files to look"
    assert _names(tmp_path) == names
    assert path.read_bytes() == before


def test_whoever_looks_takes_nothing_from_one_who_writes_or_looks(tmp_path: Path) -> None:
    path = tmp_path / "s.muse"
    new_store(path, n=2).close()
    with AnnotationStore.open(path, read_only=True) as first:
        with AnnotationStore.open(path, read_only=True) as second:
            assert len(second.nuclei()) == 2
        with AnnotationStore.open(path) as writer:
            with AnnotationStore.open(path, read_only=True) as third:
                assert len(third.nuclei()) == 2
            writer.delete([1])
            assert len(first.nuclei()) == 1
        assert len(first.nuclei()) == 1
    with AnnotationStore.open(path) as store:
        assert len(store.nuclei()) == 1
    assert not [name for name in _names(tmp_path) if "-" in name]


def test_a_log_that_an_unclean_end_has_left_is_read_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "s.muse"
    with new_store(path, n=2) as store:
        store.delete([1])
        kept = {p: p.read_bytes() for p in tmp_path.iterdir()}
    for file, data in kept.items():
        file.write_bytes(data)
    with AnnotationStore.open(path, read_only=True) as store:
        assert len(store.nuclei()) == 1
    assert (tmp_path / "s.muse-wal").read_bytes() == kept[tmp_path / "s.muse-wal"]
    assert path.read_bytes() == kept[path]


def test_a_read_only_medium_is_no_obstacle_to_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.muse"
    new_store(path, n=2).close()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("muse_core.nuclei.store.database.FileLock.acquire", refuse)
    with AnnotationStore.open(path) as store:
        assert store.read_only
        assert len(store.nuclei()) == 2
        with pytest.raises(UserError, match="cannot be written where it lies"):
            store.delete([1])
    with pytest.raises(UserError, match="Cannot write beside"):
        new_store(tmp_path / "new.muse")


def test_a_store_by_a_link_is_the_same_store(tmp_path: Path) -> None:
    path, link = tmp_path / "kept" / "s.muse", tmp_path / "s.muse"
    path.parent.mkdir()
    new_store(path, n=2).close()
    link.symlink_to(path)
    with AnnotationStore.open(path) as first, AnnotationStore.open(link) as second:
        assert first.path == second.path
        assert second.read_only
        with pytest.raises(UserError, match=r"s\.muse is open in another window"):
            second.confirm([1])
    with AnnotationStore.open(link) as alone:
        alone.confirm([1])
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["s.muse"], "nothing beside it"


def test_a_store_with_a_hard_link_is_only_looked_at(tmp_path: Path) -> None:
    path, backup = tmp_path / "s.muse", tmp_path / "backup.muse"
    new_store(path, n=2).close()
    backup.hardlink_to(path)
    for name in (path, backup):
        with AnnotationStore.open(name) as store:
            assert store.read_only
            assert len(store.nuclei()) == 2
            with pytest.raises(UserError, match="has another name on this disk"):
                store.confirm([1])
    backup.unlink()
    with AnnotationStore.open(path) as alone:
        alone.confirm([1])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps open files where they are")
def test_nothing_is_written_to_a_file_that_is_deleted_moved_or_replaced(tmp_path: Path) -> None:
    path, away = tmp_path / "s.muse", tmp_path / "away" / "s.muse"
    away.parent.mkdir()
    with new_store(path, n=3) as store:
        store.confirm([1])
        path.rename(away)
        for act in (lambda: store.confirm([2]), lambda: store.delete([2]), store.undo):
            with pytest.raises(UserError, match="deleted, moved or replaced the file"):
                act()
        # As programs do that keep folders of two computers the same.
        path.write_bytes(away.read_bytes())
        with pytest.raises(UserError, match="deleted, moved or replaced the file"):
            store.confirm([2])
        assert store.nuclei()["status"].tolist() == ["confirmed", "predicted", "predicted"]
        path.unlink()
        away.rename(path)
        store.confirm([2])
    with AnnotationStore.open(path) as again:
        assert again.nuclei()["status"].tolist() == ["confirmed", "confirmed", "predicted"]


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_another_program_has_locked_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    monkeypatch.setattr("muse_core.nuclei.store.database._BUSY_SECONDS", 0.0)
    path = tmp_path / "s.muse"
    new_store(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match=r"s.muse cannot be opened: another program has lock"):
            AnnotationStore.open(path, read_only=read_only)


def test_what_another_program_locks_meanwhile_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muse_core.nuclei.store.database._BUSY_SECONDS", 0.0)
    path = tmp_path / "s.muse"
    with new_store(path, n=1) as store:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(UserError, match=r"save to .*s.muse: another program has locked it"):
                store.confirm([1])
        store.confirm([1])


def test_edits_of_a_window_do_not_wait_for_another_program(tmp_path: Path) -> None:
    with new_store(tmp_path / "s.muse", n=1) as store:
        store.refuse_soon()
        with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for edit in (lambda: store.confirm([1]), store.undo):
                begun = time.perf_counter()
                with pytest.raises(UserError, match="another program has locked it"):
                    edit()
                assert time.perf_counter() - begun < 2, "seconds; others wait for five"
        store.confirm([1])
