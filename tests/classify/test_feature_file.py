from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from muse_core.classify.feature_file import read_features, write_features
from muse_core.errors import UserError
from muse_core.nuclei import empty_table, nucleus_table


def test_rows_come_back_in_the_tables_order(tmp_path: Path) -> None:
    n = 9001
    table = nucleus_table(np.arange(n), np.arange(n) / 2, "a", ids=np.arange(n) * 3)
    values = np.arange(n, dtype=np.float16)[:, None] * np.ones(3, np.float16)
    parts = np.array_split(np.random.default_rng(0).permutation(n), 7)
    path = tmp_path / "f.zarr"
    for _ in range(2):  # the second time over an existing one
        done = write_features(path, table, 3, ((p, values[p]) for p in parts), {"model": "m"})
    assert done == n
    found = read_features(path)
    np.testing.assert_array_equal(found.features, values)
    assert found.features.dtype == np.float16
    assert found.ids.tolist() == table["id"].tolist()
    np.testing.assert_array_equal(found.xy, table[["x", "y"]])
    assert found.attributes == {"model": "m", "complete": True}
    assert [p.name for p in tmp_path.iterdir()] == ["f.zarr"]


def test_what_is_missing_is_nan_and_said(tmp_path: Path) -> None:
    table = nucleus_table([1, 2], [1, 2], "a")
    one = [(np.array([1]), np.ones((1, 2), np.float16))]
    assert write_features(tmp_path / "f.zarr", table, 2, one, {}) == 1
    found = read_features(tmp_path / "f.zarr")
    assert np.isnan(found.features[0]).all()
    assert (found.features[1] == 1).all()
    assert found.attributes["complete"] is False


def test_no_nuclei_give_an_empty_file(tmp_path: Path) -> None:
    write_features(tmp_path / "f.zarr", empty_table(), 5, [], {})
    assert read_features(tmp_path / "f.zarr").features.shape == (0, 5)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.zarr", tmp_path):
        with pytest.raises(UserError, match=r"no folder|no nucleus features"):
            read_features(path)
    with pytest.raises(UserError, match="Cannot write"):
        write_features(tmp_path / "no" / "f.zarr", empty_table(), 5, [], {})


def test_files_that_are_missing_are_no_zeros(tmp_path: Path) -> None:
    n = 10_000
    path, table = tmp_path / "f.zarr", nucleus_table(np.arange(n), np.arange(n), "a")
    write_features(path, table, 2, [(np.arange(n), np.ones((n, 2), np.float16))], {})
    (path / "features" / "1.0").unlink()
    with pytest.raises(UserError, match=r"f\.zarr is incomplete: files with features are missing"):
        read_features(path)


def test_a_folder_without_positions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.zarr"
    write_features(path, nucleus_table([1], [1], "a"), 2, [], {})
    del zarr.open_group(path)["y"]
    with pytest.raises(UserError, match="no nucleus features"):
        read_features(path)


def test_more_than_the_memory_holds_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.zarr"
    write_features(path, nucleus_table([1], [1], "a"), 2, [], {})
    monkeypatch.setattr("muse_core.classify.feature_file._MAX_BYTES", 27)
    with pytest.raises(UserError, match="more features than fit"):
        read_features(path)
    monkeypatch.setattr("muse_core.classify.feature_file._MAX_BYTES", 28)
    read_features(path)

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(zarr, "open_group", full)
    with pytest.raises(UserError, match="no nucleus features"):
        read_features(path)


@pytest.mark.parametrize("shape", [(1, 1), (2,), ()])
def test_arrays_that_do_not_fit_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "f.zarr"
    write_features(path, nucleus_table([1], [1], "a"), 2, [], {})
    group = zarr.open_group(path)
    del group["x"]
    group.create_array("x", shape=shape, dtype=np.float64)
    monkeypatch.setattr("muse_core.classify.feature_file._MAX_BYTES", 0)
    with pytest.raises(UserError, match="no nucleus features"):
        read_features(path)


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_a_killed_program_leaves_nothing_once_the_folder_is_written_again(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, numpy as np\n"
        "from muse_core.classify.feature_file import write_features\n"
        "from muse_core.nuclei import nucleus_table\n"
        "def chunks():\n"
        "    yield np.arange(2), np.ones((2, 3), np.float16)\n"
        "    if 'kill' in sys.argv: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_features(sys.argv[1], nucleus_table([1, 2], [1, 2], 'a'), 3, chunks(), {})\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "f.zarr")]
    assert subprocess.run([*command, "kill"], check=False).returncode == -signal.SIGKILL
    subprocess.run(command, check=True)
    assert [p.name for p in tmp_path.iterdir()] == ["f.zarr"]
    assert read_features(tmp_path / "f.zarr").features.tolist() == [[1, 1, 1], [1, 1, 1]]
