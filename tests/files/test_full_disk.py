"""Every writer on a full disk: an error message, and nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import AnnotationStore, SlideIdentity

from ..data.datasets.layouts import ocelot
from ..job_inputs import write_model
from ..small_disk import fill, small_disk

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


@pytest.mark.parametrize("size", ["1m", "1m,nr_inodes=8"])
def test_a_store_on_a_full_disk_can_be_looked_at(tmp_path: Path, size: str) -> None:
    """Without room for what SQLite writes beside it, or for any further file."""
    with small_disk(tmp_path / "full", size) as full:
        slide, classes = SlideIdentity("s.svs", 1, "abc"), ClassScheme.from_names(["a"])
        with AnnotationStore.create(full / "s.muse", slide, classes) as store:
            store.insert(nucleus_table([1, 2, 3], [1, 2, 3], "a"))
        (full / "s.muse.lock").unlink()
        fill(full)
        with contextlib.suppress(OSError):
            for number in range(8 if "inodes" in size else 0):
                (full / f"ballast{number}").touch()
        ballast = {p.name for p in full.glob("ballast*")}
        with AnnotationStore.open(full / "s.muse") as store:
            assert len(store.nuclei()) == 3
            with pytest.raises(UserError, match=r"^s.muse lies on a full disk; here it can only"):
                store.confirm([1])
        with AnnotationStore.open(full / "s.muse", read_only=True) as store:
            assert len(store.nuclei()) == 3
        assert not {p.name for p in full.iterdir()} - {"s.muse", "s.muse.lock"} - ballast
        for name in ballast:
            (full / name).unlink()
        with AnnotationStore.open(full / "s.muse") as store:
            store.confirm([1])
