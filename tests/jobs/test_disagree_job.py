from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from muse_core.jobs.events import Cancelled, DisagreementFound, Done, Event, Failed, Progress
from muse_core.jobs.run import run_job
from muse_core.jobs.specs import DisagreeJob, job_from_json
from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import AnnotationStore, StorePlace

from ..damaged_slide import write_damaged
from ..job_inputs import write_model, write_slide


@pytest.fixture
def job(cmu_slide: Path, tmp_path: Path) -> DisagreeJob:
    """The bundled model's own detections in a corner of the demo slide, one class changed."""
    slide = cmu_slide
    rng = np.random.default_rng(0)
    x, y = rng.uniform(700, 1100, (2, 60)) + np.array([[0], [800]])
    scheme = ClassScheme.from_names(["a", "b"])
    with StorePlace(slide, tmp_path).create(scheme) as store:
        store.insert(nucleus_table(x, y, ["a"] * 59 + ["b"]))
        return DisagreeJob(str(slide), str(store.path), device="cpu")


def test_all_nuclei_are_compared_and_the_store_is_only_read(job: DisagreeJob) -> None:
    before = Path(job.store).read_bytes()
    events: list[Event] = []
    end = run_job(job_from_json(job.to_json()), events.append)
    assert isinstance(end, Done)
    uncertainty = next(e for e in events if isinstance(e, DisagreementFound))
    assert uncertainty.ids == list(range(1, 61))
    found = np.array(uncertainty.disagreement)
    assert found[-1] == 1.0, "the only one of its class"
    assert found[:-1].max() < 0.5
    assert any(isinstance(e, Progress) for e in events)
    assert Path(job.store).read_bytes() == before


def test_what_cannot_be_read_is_not_compared(tmp_path: Path) -> None:
    slide = tmp_path / "d.tif"
    write_damaged(slide, write_slide(tmp_path / "whole.png"), 200, 300, 0.5)
    with StorePlace(slide, tmp_path).create(ClassScheme.from_names(["a", "b"])) as store:
        store.insert(nucleus_table([10, 200, 690, 400], [10, 300, 490, 99], ["a", "a", "b", "b"]))
        model = write_model(tmp_path / "m.safetensors")
        job = DisagreeJob(str(slide), str(store.path), model=str(model), device="cpu")
    events: list[Event] = []
    assert isinstance(run_job(job, events.append), Done)
    found = next(e for e in events if isinstance(e, DisagreementFound))
    assert found.ids == [1, 3, 4]
    assert np.isfinite(found.disagreement).all()


def test_cancelled_there_is_no_result(job: DisagreeJob) -> None:
    events: list[Event] = []
    assert isinstance(run_job(job, events.append, lambda: True), Cancelled)
    assert not any(isinstance(e, DisagreementFound) for e in events)


def test_an_empty_store_gets_a_sentence(job: DisagreeJob) -> None:
    with AnnotationStore.open(job.store) as store:
        store.begin_detection(range(1, 61), 1.0)
        store.end_detection("done")
    end = run_job(job, lambda _: None)
    assert isinstance(end, Failed)
    assert "too few nuclei" in end.message
