from __future__ import annotations

import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.files import FileRows

_N = 30_000
VALUES = np.random.default_rng(0).integers(-1000, 1000, (_N, 5)).astype(np.int16)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> FileRows:
    path = tmp_path_factory.mktemp("rows") / "values"
    path.write_bytes(b"head" + VALUES.tobytes())
    return FileRows(path, np.int16, VALUES.shape, "values", 4)


@given(st.lists(st.integers(0, _N - 1), max_size=50), st.integers(-_N, _N), st.integers(-_N, _N))
def test_any_rows_are_those_of_the_array(
    rows: FileRows, which: list[int], start: int, stop: int
) -> None:
    chosen = np.array(which, np.int64)
    np.testing.assert_array_equal(rows[chosen], VALUES[chosen])
    np.testing.assert_array_equal(rows[start:stop], VALUES[start:stop])


def test_all_rows_out_of_order_and_from_several_threads(rows: FileRows) -> None:
    order = np.random.default_rng(1).permutation(_N)
    np.testing.assert_array_equal(rows[order], VALUES[order])
    np.testing.assert_array_equal(rows[:], VALUES)
    parts = np.array_split(order, 64)
    with ThreadPoolExecutor(8) as pool:
        for part, found in zip(parts, pool.map(rows.__getitem__, parts), strict=True):
            np.testing.assert_array_equal(found, VALUES[part])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not replace open files")
def test_what_takes_the_place_of_the_file_is_not_read(tmp_path: Path) -> None:
    path, other = tmp_path / "values", tmp_path / "other"
    path.write_bytes(VALUES.tobytes())
    rows = FileRows(path, np.int16, VALUES.shape, "values")
    other.write_bytes(bytes(VALUES.nbytes))
    other.replace(path)
    np.testing.assert_array_equal(rows[5:9], VALUES[5:9])


def test_a_file_that_is_cut_short_gives_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_bytes(VALUES.tobytes())
    rows = FileRows(path, np.int16, VALUES.shape, "The values")
    os.truncate(path, VALUES.nbytes // 2)
    np.testing.assert_array_equal(rows[: _N // 2], VALUES[: _N // 2])
    for which in (slice(None), np.array([_N - 1, 0])):
        with pytest.raises(UserError, match="The values has been cut short while it was open"):
            rows[which]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")
def test_the_file_is_closed_with_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_bytes(VALUES.tobytes())
    rows = FileRows(path, np.int16, VALUES.shape, "values")
    assert str(path) in _open_files()
    del rows
    gc.collect()
    assert str(path) not in _open_files()


def _open_files() -> set[str]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(link.readlink()))
        except OSError:
            continue
    return found
