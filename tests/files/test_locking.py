"""Locks between real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from muse_core.errors import UserError
from muse_core.files import is_being_written, locked, only_one

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
        assert process.stdout.readline() == b"mine\n"
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
