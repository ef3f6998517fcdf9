"""A file system small enough to fill."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """Mount one at a new folder; the test is skipped if that is not possible."""
    if not sys.platform.startswith("linux"):
        pytest.skip("mounts a file system, of Linux")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system may not be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> None:
    """Fill the disk with a file named ``ballast``."""
    with (
        contextlib.suppress(OSError),
        (folder / "ballast").open("wb", buffering=0) as file,
    ):
        while file.write(bytes(4096)) == 4096:
            pass
