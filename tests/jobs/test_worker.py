from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from muse_core.jobs import DetectJob, Done
from muse_core.jobs.worker import EventWriter
from muse_core.nuclei import read_csv

from ..job_inputs import write_model, write_slide

TIMEOUT_S = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("worker")
    write_slide(root / "slide.png", 400, 300)
    write_model(root / "tiny.safetensors")
    return root


@pytest.fixture
def spec(folder: Path, tmp_path: Path) -> dict[str, Any]:
    job = DetectJob(
        str(folder / "slide.png"),
        str(folder / "tiny.safetensors"),
        out_csv=str(tmp_path / "nuclei.csv"),
        mpp=0.5,
        device="cpu",
    )
    return job.to_json()


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a worker, or Python with other arguments; it is stopped at the end of the test."""
    with contextlib.ExitStack() as workers:

        def started(*python: str) -> subprocess.Popen[bytes]:
            worker = subprocess.Popen(
                [sys.executable, *(python or ("-m", "muse_core.jobs"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            workers.enter_context(worker)
            workers.callback(worker.kill)
            return worker

        yield started


def send(worker: subprocess.Popen[bytes], *lines: object) -> None:
    assert worker.stdin is not None
    for line in lines:
        text = line if isinstance(line, bytes) else json.dumps(line).encode()
        worker.stdin.write(text + b"\n")
    worker.stdin.flush()


def events_until_the_end(worker: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """All of stdout as events; stdin stays open until the worker has finished."""
    assert worker.stdout is not None
    events = [json.loads(line) for line in worker.stdout]
    worker.wait(TIMEOUT_S)
    ends = [e for e in events if e["event"] in ("done", "cancelled", "failed")]
    assert ends == events[-1:]
    return events


def until_it_waits(worker: subprocess.Popen[bytes]) -> None:
    """Wait until the process has been idle for a second after loading its modules."""
    process, quiet, used = psutil.Process(worker.pid), 0, 0.0
    while quiet < 10:
        time.sleep(0.1)
        assert worker.poll() is None, "it ended without a job"
        now = process.cpu_times().user
        asleep = process.status() == psutil.STATUS_SLEEPING
        quiet = quiet + 1 if asleep and now == used > 0.2 else 0
        used = now


def errors_of(worker: subprocess.Popen[bytes]) -> str:
    assert worker.stdin is not None
    assert worker.stderr is not None
    worker.stdin.close()
    return worker.stderr.read().decode()


def test_a_job_runs_in_its_own_process(start: Start, spec: dict[str, Any]) -> None:
    worker = start()
    send(worker, spec)
    events = events_until_the_end(worker)
    assert events[0]["event"] == "started"
    assert events[-1]["event"] == "done", events[-1]
    assert worker.returncode == 0
    told = sum(len(e["x"]) for e in events if e["event"] == "nuclei")
    assert told == events[-1]["result"]["nuclei"] == len(read_csv(spec["out_csv"])) > 0
    assert "Traceback" not in errors_of(worker)


@pytest.mark.parametrize("model", ["tiny.safetensors", "none.safetensors"])
def test_a_process_made_ready_for_a_model_does_any_job(
    start: Start, spec: dict[str, Any], folder: Path, model: str
) -> None:
    worker = start("-m", "muse_core.jobs", str(folder / model), "cpu", "auto")
    send(worker, spec)
    events = events_until_the_end(worker)
    assert events[-1]["event"] == "done", events[-1]
    assert events[-1]["result"]["nuclei"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_a_process_that_waits_for_a_job_can_be_stopped(start: Start, folder: Path) -> None:
    worker = start("-m", "muse_core.jobs", str(folder / "none.safetensors"), "cpu", "auto")
    until_it_waits(worker)
    worker.terminate()
    assert worker.wait(TIMEOUT_S) == 130
    assert events_until_the_end(worker)[-1]["event"] == "cancelled"


@pytest.mark.parametrize("how", ["command", "end of stdin"])
def test_a_job_can_be_cancelled(start: Start, spec: dict[str, Any], how: str) -> None:
    worker = start()
    send(worker, spec)
    if how == "command":
        send(worker, b"not json", {"command": "dance"}, {"command": "cancel"})
    else:
        assert worker.stdin is not None
        worker.stdin.close()
    events = events_until_the_end(worker)
    assert events[-1]["event"] == "cancelled"
    assert worker.returncode == 130
    result = events[-1]["result"]
    # Nothing is written before the first tile is done.
    written = Path(spec["out_csv"])
    assert result["out_csv"] == (str(written) if result["tiles_done"] else None)
    found = len(read_csv(written)) if written.exists() else 0
    assert found == result["nuclei"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_is_a_cancel(start: Start, spec: dict[str, Any]) -> None:
    worker = start()
    send(worker, spec)
    assert worker.stdout is not None
    # The handler is installed before the spec is read.
    assert json.loads(worker.stdout.readline())["event"] == "started"
    worker.send_signal(signal.SIGINT)
    assert events_until_the_end(worker)[-1]["event"] == "cancelled"


def test_a_reader_that_goes_away_ends_the_job_quietly(start: Start, spec: dict[str, Any]) -> None:
    worker = start()
    send(worker, spec)
    assert worker.stdout is not None
    assert json.loads(worker.stdout.readline())["event"] == "started"
    worker.stdout.close()
    assert worker.wait(TIMEOUT_S) == 130
    assert "Traceback" not in errors_of(worker)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"{not json", "The job is not JSON"),
        (b"\xff\xfe", "The job is not JSON"),
        (b"[" * 60_000, "The job is not JSON"),
        (b"3", "A job is a JSON object"),
        (b'{"kind": "sing"}', "Unknown job kind 'sing'"),
        (b'{"kind": "detect"}', "field 'slide'"),
        (b'{"kind": "detect", "slide": "missing.svs"}', "missing.svs"),
    ],
)
def test_a_bad_spec_is_one_failure_and_exit_code_2(
    start: Start, line: bytes, sentence: str
) -> None:
    worker = start()
    send(worker, line)
    (event,) = events_until_the_end(worker)
    assert (event["event"], event["detail"]) == ("failed", "")
    assert sentence in event["message"]
    assert worker.returncode == 2


def test_no_spec_at_all_is_a_failure_too(start: Start) -> None:
    worker = start()
    assert worker.stdin is not None
    worker.stdin.close()
    (event,) = events_until_the_end(worker)
    assert event["message"] == "No job was given."


def test_what_libraries_print_does_not_get_between_the_events(start: Start) -> None:
    noisy = (
        "import os, sys, threading;"
        "from muse_core.jobs import Done;"
        "from muse_core.isolation.streams import claim_stdout;"
        "from muse_core.jobs.worker import EventWriter;"
        "emit = EventWriter(claim_stdout(), threading.Event());"
        "print('noise from Python', flush=True); os.write(1, b'noise from C\\n');"
        "emit(Done(''))"
    )
    worker = start("-c", noisy)
    assert [e["event"] for e in events_until_the_end(worker)] == ["done"]
    noise = errors_of(worker)
    assert "noise from Python" in noise
    assert "noise from C" in noise


def test_the_end_is_told_even_if_its_figures_are_no_numbers() -> None:
    stream = io.BytesIO()
    write = EventWriter(stream, threading.Event())
    write(Done("Trained.", {"f_avg": float("nan")}))
    assert json.loads(stream.getvalue()) == {"event": "done", "message": "Trained.", "result": {}}
