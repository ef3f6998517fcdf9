from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from muse_core.finetune import FinetuneConfig, StoreSource
from muse_core.jobs import FinetuneJob, job_from_json, run_job
from muse_core.jobs.events import Done, Event, LossMeasured, MetricsMeasured
from muse_core.models.card import read_card

from ..finetune.annotated import MPP, reviewed_store
from ..job_inputs import write_model

SQUARES = [(20, 20, 140), (260, 20, 140), (20, 260, 140)]


@pytest.fixture
def job(tmp_path: Path) -> FinetuneJob:
    return FinetuneJob(
        FinetuneConfig(
            stores=(StoreSource(reviewed_store(tmp_path, SQUARES), mpp=MPP),),
            out=tmp_path / "out.safetensors",
            base=write_model(tmp_path / "base.safetensors"),
            mode="adapt",
            class_map={"tumor": "large"},
            steps=6,
            validate_every=2,
            device="cpu",
        )
    )


def changed(job: FinetuneJob, **values: Any) -> FinetuneJob:
    return FinetuneJob(dataclasses.replace(job.config, **values))


def test_the_job_travels_as_json(job: FinetuneJob) -> None:
    assert job_from_json(json.loads(json.dumps(job.to_json()))) == job


def test_curves_and_proof_come_as_events(job: FinetuneJob) -> None:
    events: list[Event] = []
    last = run_job(job, events.append)
    assert isinstance(last, Done), last
    metrics = [e for e in events if isinstance(e, MetricsMeasured)]
    assert [m.figures["step"] for m in metrics] == [0, 2, 4, 6]
    assert all(
        {"loss", "f_det", "f_avg", "f_class", "threshold"} <= m.figures.keys() for m in metrics
    )
    losses = [e for e in events if isinstance(e, LossMeasured)]
    assert losses
    assert losses[0].step == 1
    result = last.result
    assert result["before"]["f_class"].keys() == result["after"]["f_class"].keys()
    assert read_card(job.config.out).metrics["after"] == result["after"]
    # Each is a JSON line, with JSON types only.
    json.dumps([event.to_json() for event in events], allow_nan=False)


def test_the_base_is_not_overwritten(job: FinetuneJob) -> None:
    last = run_job(changed(job, out=job.config.base), lambda event: None)
    assert "the model to start from" in last.message


def events(worker: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    assert worker.stdout is not None
    for line in worker.stdout:
        yield json.loads(line)


def start(job: FinetuneJob) -> subprocess.Popen[bytes]:
    worker = subprocess.Popen(
        [sys.executable, "-m", "muse_core.jobs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(job.to_json()).encode() + b"\n")
    worker.stdin.flush()
    return worker


def test_killed_without_warning_it_goes_on_and_the_best_is_there(job: FinetuneJob) -> None:
    long = changed(job, steps=100_000, validate_every=5)
    worker = start(long)
    for event in events(worker):
        # The state is written after the figures; by the next figures it is on disk.
        if event["event"] == "metrics" and event["figures"]["step"] >= 10:
            break
    worker.kill()
    worker.communicate()
    assert read_card(job.config.out).parent == "tiny"
    worker = start(long)
    first = next(e for e in events(worker) if e["event"] == "loss")
    assert first["step"] > 5
    assert worker.stdin is not None
    worker.stdin.write(b'{"command": "cancel"}\n')
    worker.stdin.flush()
    last = list(events(worker))[-1]
    worker.communicate()
    assert last["event"] == "cancelled"
    assert "the best so far is in" in last["message"]
