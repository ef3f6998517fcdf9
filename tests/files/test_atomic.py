from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.files import make_folder, replacing


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    for text in ("one", "two"):
        with replacing(target) as partial:
            partial.write_text(text)
        assert target.read_text() == text
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    for name in ("one", "two"):
        with replacing(target) as partial:
            partial.mkdir()
            (partial / name).touch()
        assert [p.name for p in target.iterdir()] == [name]
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def _write(target: Path) -> None:
    with replacing(target) as partial:
        partial.write_text("new")


def _rewrite(target: Path) -> None:
    with replacing(target) as partial:
        partial.mkdir()
        (partial / "new").touch()


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    target = tmp_path / "a.zarr"
    target.mkdir()
    (target / "old").touch()
    return target


def test_a_folder_whose_place_cannot_be_taken_stays(
    old_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse_the_new_one(self: Path, target: Path) -> Path:
        if self.suffix == ".partial":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with pytest.raises(UserError, match="Cannot write"):
        _rewrite(old_folder)
    assert [p.name for p in old_folder.iterdir()] == ["old"]
    assert [p.name for p in old_folder.parent.iterdir()] == ["a.zarr"]


def test_the_old_folder_is_deleted_only_once_the_new_one_is_there(
    old_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        assert (old_folder / "new").exists()
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("muse_core.files.atomic.shutil.rmtree", fail)
    _rewrite(old_folder)
    assert [p.name for p in old_folder.iterdir()] == ["new"]


def test_of_links_what_they_lead_to_is_replaced(old_folder: Path, tmp_path: Path) -> None:
    link, far = tmp_path / "link.zarr", tmp_path / "far.zarr"
    link.symlink_to(old_folder)
    far.symlink_to("link.zarr")
    _rewrite(far)
    assert link.is_symlink()
    assert far.is_symlink()
    assert [p.name for p in old_folder.iterdir()] == ["new"]
    file, other = tmp_path / "a.txt", tmp_path / "b.txt"
    file.write_text("old")
    other.symlink_to(file)
    _write(other)
    assert other.readlink() == file
    assert file.read_text() == "new"


def test_a_link_to_nothing_yet_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    link = tmp_path / "n.csv"
    link.symlink_to("results/n.csv")
    _write(link)
    assert link.is_symlink()
    assert (tmp_path / "results" / "n.csv").read_text() == "new"


def test_links_that_lead_nowhere_get_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("missing/c")
    for name, reason in (("a", "Too many levels"), ("b", "Too many levels"), ("c", "no folder")):
        with pytest.raises(UserError, match=rf"^Cannot write \S+{name}: .*{reason}.*\.$"):
            _write(tmp_path / name)
        assert (tmp_path / name).is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_permissions_are_kept(tmp_path: Path, old_folder: Path) -> None:
    file = tmp_path / "a.txt"
    for mode in (0o600, 0o664, 0o755):
        file.write_text("old")
        file.chmod(mode)
        _write(file)
        assert stat.S_IMODE(file.stat().st_mode) == mode
        old_folder.chmod(mode | 0o700)
        _rewrite(old_folder)
        assert stat.S_IMODE(old_folder.stat().st_mode) == mode | 0o700
    umask = os.umask(0o027)
    try:
        _write(tmp_path / "fresh.txt")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "fresh.txt").stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root gives files away")
def test_the_owner_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    os.chown(file, 1234, 2345)
    _write(file)
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 2345)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_drive_without_owners_and_modes_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(number: int) -> Callable[..., None]:
        def call(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        return call

    file = tmp_path / "a.txt"
    file.write_text("old")
    # As in a container to which the owner is not known, and on SMB.
    monkeypatch.setattr(os, "chown", refuse(errno.EINVAL))
    monkeypatch.setattr(os, "chmod", refuse(errno.EPERM))
    _write(file)
    assert file.read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
    # In a process of an ordinary user, to whom permissions apply.
    file = tmp_path / "a.txt"
    file.write_text("old")
    if os.geteuid() == 0:
        for folder in tmp_path.parents[:-1]:
            folder.chmod(folder.stat().st_mode | 0o755)
    tmp_path.chmod(0o777)
    file.chmod(0o444)
    code = (
        "import os, sys\n"
        "from muse_core.files import replacing, check_writable\n"
        "os.geteuid() == 0 and os.setuid(65534)\n"
        "for write in (check_writable, lambda p: replacing(p).__enter__()):\n"
        "    try: write(sys.argv[1])\n"
        "    except ValueError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, file], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [f"Cannot write {file}: Permission denied."] * 2, done.stderr
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("length", [30, 251])
def test_names_as_long_as_may_be(tmp_path: Path, length: int) -> None:
    for name in ("n" * length + ".csv", "ä" * (length // 2) + ".csv"):
        _write(tmp_path / name)
        assert (tmp_path / name).read_text() == "new"


def test_two_that_replace_one_folder_do_not_disturb_each_other(old_folder: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom muse_core.files import replacing\n"
        "for i in range(60):\n"
        "    with replacing(sys.argv[1]) as partial:\n"
        "        partial.mkdir(); (partial / sys.argv[2]).touch()\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, old_folder, name], stderr=subprocess.PIPE)
        for name in ("one", "two")
    ]
    assert [p.communicate()[1] for p in both] == [b"", b""]
    assert [p.returncode for p in both] == [0, 0]
    assert [p.name for p in old_folder.iterdir()] in (["one"], ["two"])
    assert [p.name for p in old_folder.parent.iterdir()] == ["a.zarr"]


def test_a_full_folder_stays_where_it_is_not_to_be_replaced(old_folder: Path) -> None:
    def write() -> None:
        with replacing(old_folder, over_full_folder=False) as partial:
            partial.mkdir()
            (partial / "new").touch()

    with pytest.raises(UserError, match="not empty"):
        write()
    assert [p.name for p in old_folder.iterdir()] == ["old"]
    (old_folder / "old").rename(old_folder / ".DS_Store")
    write()
    assert [p.name for p in old_folder.iterdir()] == ["new"]
    assert [p.name for p in old_folder.parent.iterdir()] == ["a.zarr"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_program_has_left_is_removed_by_the_next(tmp_path: Path, kind: str) -> None:
    """That of a program which is still writing stays, and so does what is not ours."""
    target, foreign = tmp_path / "a[1].csv", tmp_path / ".a[1].csv.0123abcd.partial"
    foreign.write_text("without a lock")
    write = "p.write_text('half')" if kind == "file" else "p.mkdir(); (p / 'x').write_text('half')"
    script = (
        "import os, sys, time; from muse_core.files import replacing\n"
        "with replacing(sys.argv[1]) as p:\n"
        f"    {write}; print('half', flush=True); sys.stdin.read()\n"
    )
    writers = []
    for _ in range(2):
        command = [sys.executable, "-c", script, str(target)]
        writers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline().strip() == b"half"
    writers[0].kill()
    writers[0].communicate()
    assert len(list(tmp_path.glob("*.partial"))) == 3
    with replacing(target) as partial:
        assert len(list(tmp_path.glob("*.partial"))) == 2
        if kind == "file":
            partial.write_text("whole")
        else:
            partial.mkdir()
    writers[1].communicate()
    assert writers[1].returncode == 0
    assert (target if kind == "file" else target / "x").read_text() == "half"
    assert sorted(p.name for p in tmp_path.iterdir()) == [foreign.name, target.name]


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere open files can be replaced")
def test_what_a_scanner_has_open_for_a_moment_is_replaced_after_it(tmp_path: Path) -> None:
    target = tmp_path / "n.csv"
    target.write_text("old")
    with target.open("rb") as scanner, ThreadPoolExecutor(1) as thread:
        done = thread.submit(_write, target)
        with pytest.raises(TimeoutError):
            done.result(timeout=0.2)
        scanner.close()
        done.result()
    assert target.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["n.csv"]


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere open files can be replaced")
def test_what_another_program_keeps_open_is_named(tmp_path: Path) -> None:
    target = tmp_path / "n.csv"
    target.write_text("old")
    with (
        target.open("rb"),
        pytest.raises(UserError, match=r"Cannot write .*n\.csv: .*is it open in another program\?"),
    ):
        _write(target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["n.csv"]


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere a colon is a letter")
def test_no_second_content_of_another_file_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot write .*at 12:30\.csv: Invalid argument\."):
        _write(tmp_path / "at 12:30.csv")
    assert not any(tmp_path.iterdir())


def test_what_fails_leaves_the_old_file_and_no_partial_one(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail_half_way() -> None:
        with replacing(target) as partial:
            partial.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_half_way()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_what_cannot_be_written_gets_a_sentence(tmp_path: Path) -> None:
    def write() -> None:
        with replacing(tmp_path / "missing" / "a.txt") as partial:
            partial.write_text("new")

    with pytest.raises(UserError, match=r"Cannot write .*a\.txt: there is no folder \S*missing\.$"):
        write()


def test_the_sentence_is_the_systems_not_that_of_a_library(tmp_path: Path) -> None:
    def write() -> None:
        with replacing(tmp_path / "a.txt") as partial:
            raise OSError(errno.ENOENT, f"unable to create file (name = {partial}, flags = 13)")

    with pytest.raises(UserError, match=r"^Cannot write \S*a\.txt: No such file or directory\.$"):
        write()


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "work").touch()

    def write() -> None:
        with replacing(target) as partial:
            partial.write_text("new")

    with pytest.raises(UserError, match="Cannot write"):
        write()
    assert (target / "work").exists()


def test_a_folder_is_made_with_those_above_it_and_may_be_there(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_is_made_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    make_folder(tmp_path / "link")
    assert (tmp_path / "real").is_dir()


def test_a_folder_that_cannot_be_made_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^Cannot write .*file: .+\.$"):
        make_folder(tmp_path / "file")


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
@pytest.mark.parametrize("gone_on", [True, False])
def test_a_folder_is_put_back_whose_program_was_killed_in_between(
    tmp_path: Path, gone_on: bool
) -> None:
    target = tmp_path / "a.zarr"
    target.mkdir()
    (target / "x").write_text("old")
    script = (
        "import os, signal, sys; from pathlib import Path; from muse_core.files import replacing\n"
        "with replacing(sys.argv[1]) as p:\n"
        "    p.mkdir(); rename = Path.rename\n"
        "    def once(old, new):\n"
        "        rename(old, new); os.kill(os.getpid(), signal.SIGKILL)\n"
        "    Path.rename = once\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    with contextlib.suppress(RuntimeError), replacing(target) as partial:
        partial.mkdir()
        (partial / "x").write_text("new")
        if not gone_on:
            raise RuntimeError
    assert (target / "x").read_text() == ("new" if gone_on else "old")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
