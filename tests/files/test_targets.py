"""Real pipes, devices and open descriptors as targets."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.files import check_writable, names_stdout, replacing, require_outside

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has neither pipes nor devices")
TEXT = "x_px,y_px\n1,2\n"
WRITE = (
    "import sys\n"
    "from muse_core.files import check_writable, replacing\n"
    "check_writable(sys.argv[1])\n"
    "sys.stdout.write('before\\n')\n"
    "with replacing(sys.argv[1]) as partial: partial.write_text('new\\n')\n"
    "print('after')\n"
)


def _write(target: Path) -> None:
    check_writable(target)
    with replacing(target) as partial:
        partial.write_text(TEXT)


def test_a_named_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    link = tmp_path / "link.csv"
    link.symlink_to("pipe.csv")
    for target in (pipe, link):
        read: list[str] = []
        reader = threading.Thread(target=lambda: read.append(pipe.read_text()))  # noqa: B023
        reader.start()
        _write(target)
        reader.join()
        assert read == [TEXT]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.csv", "pipe.csv"]


def test_a_device_stays_one() -> None:
    before = Path(os.devnull).stat()
    _write(Path(os.devnull))
    after = Path(os.devnull).stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert stat.S_ISCHR(after.st_mode)
    assert not list(Path("/dev").glob(".null*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_device_that_takes_nothing_gets_a_sentence() -> None:
    with pytest.raises(UserError, match=r"^Cannot write /dev/full: No space left on device\.$"):
        _write(Path("/dev/full"))


def test_a_folder_is_not_written_into_a_pipe_or_device() -> None:
    def write() -> None:
        with replacing(os.devnull) as partial:
            partial.mkdir()

    with pytest.raises(UserError, match=r"Cannot write /dev/null: Not a directory\."):
        write()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_what_goes_to_standard_output_stands_in_its_place(tmp_path: Path, name: str) -> None:
    if not Path(name).parent.is_dir():
        pytest.skip(f"no {name} here")
    if name == "link":
        (tmp_path / name).symlink_to("/dev/stdout")
        name = str(tmp_path / name)
    piped = subprocess.run(
        [sys.executable, "-c", WRITE, name], capture_output=True, text=True, check=True
    )
    assert piped.stdout == "before\nnew\nafter\n"
    # Also redirected into a file that receives other output.
    out = tmp_path / "out.txt"
    with out.open("w") as file:
        subprocess.run([sys.executable, "-c", WRITE, name], stdout=file, check=True)
    assert out.read_text() == "before\nnew\nafter\n"


def test_a_pipe_that_nobody_reads_any_more_gets_a_sentence(tmp_path: Path) -> None:
    end, start = os.pipe()
    os.close(end)
    try:
        with pytest.raises(UserError, match=r"Cannot write /dev/fd/\d+: Broken pipe\."):
            _write(Path(f"/dev/fd/{start}"))
    finally:
        os.close(start)


def test_standard_output_is_known_by_its_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    assert names_stdout("/dev/stdout")
    assert names_stdout(tmp_path / "link")
    assert not names_stdout(tmp_path / "missing.csv")
    assert not names_stdout("/dev/stderr")
    assert not names_stdout("")


def test_links_in_a_circle_lead_outside_of_nothing(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.symlink_to(there)
    there.symlink_to(here)
    with pytest.raises(UserError, match=r"^Cannot write .*here: Too many levels of symbolic"):
        require_outside(here, tmp_path / "input")


def test_what_is_to_be_read_again_must_be_a_file() -> None:
    with pytest.raises(UserError, match="a pipe or a device"):
        check_writable(os.devnull, read_again=True)
