from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from muse_core.isolation import Limits, run_isolated
from muse_core.nuclei.store import NUCLEUS_ROW, AnnotationStore

from .helpers import new_store


def test_it_starts_without_what_it_does_not_need() -> None:
    code = (
        "import sys, muse_core.nuclei.store.rows_worker\n"
        "sys.exit(bool({'scipy', 'torch', 'tifffile'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [0, 1, 5, 40])
def test_processes_that_read_a_span_each_read_every_nucleus_once(
    tmp_path: Path, n: int, parts: int
) -> None:
    with new_store(tmp_path / "s.muse", n) as store:
        if n > 5:
            store.set_class([3, 17, 40], "b")
            ids = np.arange(10, n + 1)
            store.apply_predictions(ids, np.full(len(ids), 2), np.full(len(ids), 0.75), model="c")
            store.delete([1])
        joined = np.concatenate([store.rows_between(*span) for span in store.id_spans(parts)])
        assert joined.tobytes() == store.rows().tobytes()
        assert len(store.id_spans(parts)) == parts


def test_spans_hold_as_many_nuclei_each_wherever_ids_begin(tmp_path: Path) -> None:
    path = tmp_path / "s.muse"
    new_store(path, 40).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM nuclei WHERE id <= 20")
    with AnnotationStore.open(path) as store:
        assert [len(store.rows_between(*span)) for span in store.id_spans(4)] == [5, 5, 5, 5]


def test_the_process_reads_its_span(tmp_path: Path) -> None:
    path = tmp_path / "s.muse"
    with new_store(path, 30) as store:
        wanted = store.rows_between(11, 20)
    task = {"path": str(path), "first": 11, "last": 20}
    data = run_isolated("muse_core.nuclei.store.rows_worker", task, Limits.for_size(0), "s.muse")
    rows = np.frombuffer(data, NUCLEUS_ROW)
    assert rows["id"].tolist() == list(range(11, 21))
    assert rows.tobytes() == wanted.tobytes()
