"""Control groups of Linux for tests: files as the system shows them, and real ones to join."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from muse_core.control_groups import ControlGroups


def written_groups(folder: Path, named: str, files: Mapping[str, str]) -> ControlGroups:
    """Groups of which a folder holds the files, and the file that names them."""
    for name, text in files.items():
        path = folder / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "groups").write_text(named)
    return ControlGroups(folder / "groups", folder / "fs")


@contextmanager
def limited_group(controller: str, file: str, limit: int) -> Iterator[Path]:
    """A control group of this machine, which a process joins by its cgroup.procs."""
    group = Path(f"/sys/fs/cgroup/{controller}/muse-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / file).write_text(str(limit))
    except OSError:
        pytest.skip("only root of a machine with control groups of version 1 can limit a process")
    yield group
    group.rmdir()
