"""Every writer on a full disk: an error message, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..data.datasets.layouts import ocelot
from ..job_inputs import write_model
from ..small_disk import small_disk

_REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path / "inputs.safetensors")
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs.safetensors").rename(tmp_path / "inputs" / "m.safetensors")
    ocelot(tmp_path / "inputs" / "ocelot")
    return tmp_path


def _what_is_wrong(folder: Path, way: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.files.full_disk_worker", folder, way],
        capture_output=True,
        text=True,
        check=False,
        cwd=_REPOSITORY,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    # Libraries that cannot close their files report it here.
    assert done.stderr == ""
    return done.stdout


def test_on_a_full_disk(folder: Path) -> None:
    with small_disk(folder / "out"):
        assert _what_is_wrong(folder, "fill") == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no files")
def test_at_the_limit_of_a_files_size(folder: Path) -> None:
    (folder / "out").mkdir()
    assert _what_is_wrong(folder, "limit") == ""
