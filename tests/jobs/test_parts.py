from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muse_core.errors import UserError
from muse_core.files import check_writable
from muse_core.jobs.events import Progress
from muse_core.jobs.peak_rss import peak_rss_mb
from muse_core.jobs.processor import leave_a_core_for_the_viewer, wait_politely
from muse_core.jobs.progress import ProgressReporter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def reporting() -> tuple[list[Any], Clock, ProgressReporter]:
    """The events that a reporter emits, its clock, and the reporter."""
    events: list[Any] = []
    clock = Clock()
    return events, clock, ProgressReporter(events.append, clock)


def test_the_time_left_follows_the_rate_and_smooths_it() -> None:
    events, clock, report = reporting()
    report(0, 10, "begin")
    clock.now += 2
    report(1, 10, "one")
    clock.now += 4
    report(2, 10, "two")
    assert [e.eta_s for e in events] == [None, 18.0, pytest.approx(2.4 * 8)]
    assert events[-1] == Progress(2, 10, "two", 19.2)


def test_fast_progress_is_thinned_but_the_first_and_last_are_told() -> None:
    events, clock, report = reporting()
    for i in range(1001):
        report(i, 1000, "")
        clock.now += 0.01
    assert (events[0].done, events[-1].done) == (0, 1000)
    assert 90 < len(events) < 110
    assert events[-1].eta_s == 0


def test_a_second_report_of_the_same_step_does_not_spoil_the_rate() -> None:
    events, clock, report = reporting()
    report(0, 4, "")
    clock.now += 1
    report(1, 4, "")
    clock.now += 5
    report(1, 4, "saving")
    assert events[-1].eta_s == 3


def test_writable_leaves_no_trace(tmp_path: Path) -> None:
    old = tmp_path / "old.csv"
    old.write_text("kept")
    check_writable(tmp_path / "new.csv")
    check_writable(old)
    assert old.read_text() == "kept"
    assert [p.name for p in tmp_path.iterdir()] == ["old.csv"]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path, sentence in (
        (tmp_path, "it is a folder"),
        (tmp_path / "missing" / "out.csv", "there is no folder"),
        (file / "out.csv", "there is no folder"),
    ):
        with pytest.raises(UserError, match=sentence):
            check_writable(path)
    with pytest.raises(UserError, match="it is the input itself"):
        check_writable(file, unlike=file)


def test_peak_memory_counts_what_was_used_and_given_back() -> None:
    before = peak_rss_mb()
    block = np.ones(30_000_000)
    assert block.sum() == 30_000_000
    del block
    # An earlier test may have used more already, but never less than this array.
    assert peak_rss_mb() >= max(before, 240)


def test_a_small_process_of_a_large_one_tells_its_own_peak() -> None:
    code = "from muse_core.jobs.peak_rss import peak_rss_mb; print(peak_rss_mb())"
    parent = (
        "import subprocess, sys; block = bytearray(b'1') * 400_000_000;"
        f"subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, timeout=60, check=True
    )
    assert 5 < float(done.stdout) < 200


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
@pytest.mark.parametrize(
    ("env", "kept"), [({}, False), ({"MALLOC_MMAP_THRESHOLD_": "9" * 8}, True)]
)
def test_large_blocks_go_back_to_the_system(env: dict[str, str], kept: bool) -> None:
    # Freed blocks below one in use are not returned to the system automatically.
    code = (
        "import psutil; from muse_core.jobs.processor import give_large_blocks_back;"
        "give_large_blocks_back(); (lambda big: None)(bytearray(b'1') * 20_000_000);"
        "freed = [bytearray(b'1') * 2_000_000 for _ in range(100)]; last = freed.pop();"
        "freed.clear(); print(psutil.Process().memory_info().rss / 1e6)"
    )
    assert (_said(code, env) > 150) == kept


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
@pytest.mark.parametrize(
    ("env", "anew"), [({}, False), ({"MALLOC_TRIM_THRESHOLD_": "131072"}, True)]
)
def test_small_blocks_are_not_asked_for_again_and_again(env: dict[str, str], anew: bool) -> None:
    # A page requested from the system is a page fault; 500 kB have about 122.
    code = (
        "import resource; from muse_core.jobs.processor import give_large_blocks_back;"
        "give_large_blocks_back(); faults = lambda: resource.getrusage(0).ru_minflt;"
        "used = lambda: bytes(b'1') * 500_000 and None; used(); before = faults();"
        "[used() for _ in range(100)]; print(faults() - before)"
    )
    assert (_said(code, env) > 2000) == anew


def _said(code: str, env: dict[str, str]) -> float:
    """The number that a process prints, without the environment variables of dask's clusters.

    They set MALLOC_TRIM_THRESHOLD_ in their own process too.
    """
    left = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**left, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return float(done.stdout)


def test_thread_settings_are_made_but_never_over_the_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    wait_politely()
    leave_a_core_for_the_viewer()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    assert 1 <= int(os.environ["OMP_NUM_THREADS"]) <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    wait_politely()
    leave_a_core_for_the_viewer()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["OMP_NUM_THREADS"]) == ("ACTIVE", "7")
