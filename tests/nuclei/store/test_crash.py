from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from muse_core.nuclei.store import AnnotationStore

from .helpers import new_store

WORKER = Path(__file__).with_name("crash_worker.py")


RELEARNER = Path(__file__).with_name("relearn_worker.py")


def _edit_until_killed(
    path: Path, seconds: float, log: Path, worker: Path = WORKER
) -> list[tuple[int, str, str]]:
    """The edits that the worker acknowledged before it was killed."""
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, str(worker), str(path)], stdout=out)
        try:
            while not log.stat().st_size and process.poll() is None:
                time.sleep(0.005)
            time.sleep(seconds)
        finally:
            process.kill()
            process.wait()
    lines = log.read_text().split("\n")[:-1]
    return [(int(n), name, status) for n, name, status in (line.split() for line in lines)]


def _rounds(tmp_path: Path, rounds: int) -> None:
    rng = random.Random(0)
    path = tmp_path / "s.muse"
    new_store(path).close()
    acknowledged: list[tuple[int, str, str]] = []
    for _ in range(rounds):
        edits = _edit_until_killed(path, rng.uniform(0.0, 0.2), tmp_path / "log")
        assert edits, "the worker never got going"
        acknowledged += edits
        with AnnotationStore.open(path) as store:
            assert not store.read_only, "the lock outlived its holder"
            table = store.nuclei(with_deleted=True)
            rows = zip(table["id"], table["class_name"], table["status"], strict=True)
            kept = {n: (name, status) for n, name, status in rows}
            lost = [e for e in acknowledged if kept.get(e[0]) != e[1:]]
            assert lost == []
            assert store.undo() is not None
            assert store.redo() is not None


def test_no_acknowledged_edit_is_lost_in_5_kills(tmp_path: Path) -> None:
    _rounds(tmp_path, 5)


def test_an_acknowledged_relearning_outlives_the_kill_and_half_of_one_leaves_nothing(
    tmp_path: Path,
) -> None:
    """Each revision says "b" of one nucleus more than the last; a kill comes at any time."""
    path = tmp_path / "s.muse"
    new_store(path, n=2000).close()
    rng = random.Random(1)
    for _ in range(4):
        acknowledged = _edit_until_killed(path, rng.uniform(0.0, 0.2), tmp_path / "log", RELEARNER)
        assert acknowledged, "the worker never got going"
        with AnnotationStore.open(path) as store:
            live = store.predictions
            assert live is not None
            count = len(live.ids)
            # One more than acknowledged may be on disk.
            assert count - acknowledged[-1][0] in (0, 1)
            assert store.count() == {"a": 2000 - count, "b": count}
            assert store.rows()["probability"][:count].tolist() == [0.5] * count
            assert store.undo() is not None
            assert store.count()["b"] == count - 1
            assert store.redo() is not None
            assert store.count()["b"] == count


@pytest.mark.slow
def test_no_acknowledged_edit_is_lost_in_200_kills(tmp_path: Path) -> None:
    _rounds(tmp_path, 200)
