"""Locks between real processes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from muse_core.errors import UserError
from muse_core.files import is_being_written, locked, only_one
from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import AnnotationStore, SlideIdentity

COUNT = (
    "import sys\nfrom pathlib import Path\nfrom muse_core.files import locked, replacing\n"
    "path = Path(sys.argv[1])\n"
    "for _ in range(100):\n"
    "    with locked(path):\n"
    "        number = int(path.read_text())\n"
    "        with replacing(path) as partial: partial.write_text(str(number + 1))\n"
)
HOLD = (
    "import sys\nfrom muse_core.files import only_one\n"
    "with only_one(sys.argv[1]):\n    print('mine', flush=True)\n    sys.stdin.read()\n"
)


def test_nothing_is_lost_between_processes(tmp_path: Path) -> None:
    file = tmp_path / "count"
    file.write_text("0")
    (tmp_path / "link").symlink_to("count")
    names = (file, file, tmp_path / "link")
    running = [subprocess.Popen([sys.executable, "-c", COUNT, name]) for name in names]
    assert [p.wait() for p in running] == [0, 0, 0]
    assert file.read_text() == "300"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Any]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "m.safetensors"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"mine"
        yield process
        process.kill()


def test_the_second_is_refused_and_may_go_on_when_the_first_has_ended(
    tmp_path: Path, holder: subprocess.Popen[bytes]
) -> None:
    target = tmp_path / "m.safetensors"
    assert is_being_written(target)
    with pytest.raises(UserError, match="another program is writing it"), only_one(target):
        pass
    with pytest.raises(UserError, match="being changed"), locked(target, patience_s=0.05):
        pass
    holder.communicate(b"")
    assert not is_being_written(target)
    with only_one(target):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_program_that_was_killed_holds_nothing(
    tmp_path: Path, holder: subprocess.Popen[bytes]
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with only_one(tmp_path / "m.safetensors"):
        pass


def test_where_no_lock_can_be_made_there_is_a_sentence(tmp_path: Path) -> None:
    for lock in (locked, only_one):
        with pytest.raises(UserError, match=r"^Cannot write .*\.$"), lock(tmp_path / "no" / "file"):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
@pytest.mark.filterwarnings("ignore:flock not supported")
@pytest.mark.parametrize(
    ("number_of_error", "name"),
    [
        (errno.ENOSYS, ".n.csv.lock"),
        (errno.ENOLCK, ".n.csv.lock-file"),
        (errno.EOPNOTSUPP, ".n.csv.lock-file"),
    ],
)
def test_where_a_file_stands_in_for_a_lock_the_computer_that_left_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number_of_error: int, name: str
) -> None:
    """As on Lustre without flock, or NFS without locks, after a job was killed on another node."""
    import fcntl

    def missing(descriptor: int, operation: int) -> None:
        raise OSError(number_of_error, os.strerror(number_of_error))

    target, lock = tmp_path / "n.csv", tmp_path / name
    monkeypatch.setattr(fcntl, "flock", missing)
    with only_one(target):
        number, _, *rest = lock.read_text().splitlines()
    assert not list(tmp_path.iterdir())
    owner = "\n".join((number, "node17", *rest)) + "\n"
    for hold in (only_one, lambda path: locked(path, patience_s=0.0)):
        lock.write_text(owner)
        with pytest.raises(UserError) as refused, hold(target):
            pass
        assert f" on node17 (if it was killed there, delete {lock})" in str(refused.value)
        lock.write_bytes(b"")
        with pytest.raises(UserError) as refused, hold(target):
            pass
        assert f" (if there is none, delete {lock})" in str(refused.value)
    lock.unlink()
    with only_one(target), pytest.raises(UserError, match="another program"), only_one(target):
        pass
    with locked(target):
        assert is_being_written(target)
    assert not is_being_written(target)


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_the_warning_of_the_library_reaches_nobody(tmp_path: Path) -> None:
    script = (
        "import errno, fcntl, sys\nfrom muse_core.files import only_one\n"
        "def missing(*_): raise OSError(errno.ENOSYS, 'no such call')\n"
        "fcntl.flock = missing\n"
        "with only_one(sys.argv[1]): pass\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "n.csv")]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_annotations_that_cannot_be_locked_where_they_lie_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refused(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    slide, classes = SlideIdentity("s.svs", 1, "abc"), ClassScheme.from_names(["a"])
    with AnnotationStore.create(tmp_path / "s.muse", slide, classes) as store:
        store.insert(nucleus_table([1, 2, 3], [1, 2, 3], "a"))
    monkeypatch.setattr(fcntl, "flock", refused)
    with AnnotationStore.open(tmp_path / "s.muse") as store:
        assert len(store.nuclei()) == 3
        with pytest.raises(UserError, match=r"s.muse cannot be locked where it lies; here it can"):
            store.confirm([1])


def test_annotations_are_looked_at_where_an_earlier_library_knows_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As filelock 3.13 says of Lustre without flock."""

    def refused(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    slide, classes = SlideIdentity("s.svs", 1, "abc"), ClassScheme.from_names(["a"])
    AnnotationStore.create(tmp_path / "s.muse", slide, classes).close()
    monkeypatch.setattr(FileLock, "acquire", refused)
    with AnnotationStore.open(tmp_path / "s.muse") as store:
        assert not len(store.nuclei())
        with pytest.raises(UserError, match=r"s.muse cannot be locked where it lies; here it can"):
            store.add(1, 2, "a")
    with pytest.raises(UserError, match=r"^Cannot write beside .*: no file can be locked there\.$"):
        AnnotationStore.create(tmp_path / "t.muse", slide, classes)
    assert not (tmp_path / "t.muse").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
@pytest.mark.filterwarnings("ignore:flock not supported")
def test_annotations_copied_with_their_lock_to_where_there_are_none_say_what_to_delete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def missing(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    slide, classes = SlideIdentity("s.svs", 1, "abc"), ClassScheme.from_names(["a"])
    AnnotationStore.create(tmp_path / "s.muse", slide, classes).close()
    lock = tmp_path / "s.muse.lock"
    assert lock.read_bytes() == b""
    monkeypatch.setattr(fcntl, "flock", missing)
    with AnnotationStore.open(tmp_path / "s.muse") as store, pytest.raises(UserError) as refused:
        store.add(1, 2, "a")
    assert f"is open in another window (if there is none, delete {lock})" in str(refused.value)
    lock.unlink()
    with AnnotationStore.open(tmp_path / "s.muse") as store:
        store.add(1, 2, "a")
