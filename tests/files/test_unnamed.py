from __future__ import annotations

from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.files import check_writable, unnamed_file

REFUSING = Path("/sys")
"""A folder of Linux in which nobody can make a file, whatever the permission bits say."""


def test_what_is_written_is_read_and_nothing_is_left(tmp_path: Path) -> None:
    with unnamed_file(tmp_path) as file:
        file.write(b"a\nb\r\n\x1a\0")
        file.seek(0)
        assert file.read() == b"a\nb\r\n\x1a\0"
    assert not any(tmp_path.iterdir())


def test_without_a_folder_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        unnamed_file(tmp_path / "absent")


@pytest.mark.skipif(not REFUSING.is_dir(), reason="a folder of Linux")
def test_a_folder_that_takes_no_files_is_refused_at_once() -> None:
    with pytest.raises(PermissionError):
        unnamed_file(REFUSING)
    with pytest.raises(UserError, match=r"Cannot write .*n\.csv: "):
        check_writable(REFUSING / "n.csv")
