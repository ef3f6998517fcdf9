from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from muse_core.classify.feature_folder import features_beside, find_features
from muse_core.classify.places import rows_at
from muse_core.jobs.events import Cancelled, Done, Event, Failed, Progress
from muse_core.jobs.run import run_job
from muse_core.jobs.specs import FeaturesJob, job_from_json
from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import AnnotationStore, StorePlace

from ..damaged_slide import write_damaged
from ..job_inputs import write_model, write_slide


@pytest.fixture
def job(tmp_path: Path) -> FeaturesJob:
    """Forty nuclei on a slide of several tiles, and one outside it."""
    slide = write_slide(tmp_path / "slide.png")
    x, y = np.random.default_rng(0).uniform(20, (680, 480), (40, 2)).T
    with StorePlace(slide, tmp_path).create(ClassScheme.from_names(["a"])) as store:
        store.insert(nucleus_table([*x, 5000.0], [*y, 10.0], "a"))
        model = write_model(tmp_path / "tiny.safetensors")
        return FeaturesJob(str(slide), str(store.path), str(model), 0.5, "cpu")


def _kept(job: FeaturesJob) -> int:
    with AnnotationStore.open(job.store, read_only=True) as store:
        kept = find_features(features_beside(Path(job.store)), store.slide)
        xy = store.nuclei()[["x", "y"]].to_numpy()
    return int((rows_at(kept.places, xy) >= 0).sum())


def test_only_what_is_missing_is_computed(job: FeaturesJob) -> None:
    events: list[Event] = []
    end = run_job(job_from_json(job.to_json()), events.append)
    assert isinstance(end, Done), end
    assert end.message == "40 of 40 nuclei got their features."
    assert any(isinstance(e, Progress) for e in events)
    assert _kept(job) == 40
    with AnnotationStore.open(job.store) as store:
        store.add(100.0, 100.0, "a")
        store.move([1], [300.5], [200.5])
    again = run_job(job, lambda event: None)
    assert again.message == "2 of 2 nuclei got their features."
    assert _kept(job) == 41


def test_nuclei_that_cannot_be_read_are_counted(job: FeaturesJob, tmp_path: Path) -> None:
    slide = tmp_path / "d.tif"
    write_damaged(slide, Path(job.slide), 200, 300, 0.5)
    with StorePlace(slide, tmp_path).create(ClassScheme.from_names(["a"])) as store:
        store.insert(nucleus_table([10, 200, 690], [10, 300, 490], "a"))
        damaged = replace(job, slide=str(slide), store=str(store.path), mpp=None)
    end = run_job(damaged, lambda event: None)
    assert isinstance(end, Done), end
    assert end.message.startswith(
        "2 of 3 nuclei got their features. 1 nucleus lies where the slide cannot be read: d.tif"
    )
    assert _kept(damaged) == 2


def test_a_cancel_keeps_what_is_there(job: FeaturesJob) -> None:
    asked = iter([False, True])
    end = run_job(job, lambda event: None, lambda: next(asked, True))
    assert isinstance(end, Cancelled), end
    assert 0 < _kept(job) < 40
    rest = run_job(job, lambda event: None)
    assert isinstance(rest, Done)
    assert _kept(job) == 40


def test_nothing_is_kept_of_a_slide_that_is_changed_meanwhile(
    job: FeaturesJob, tmp_path: Path
) -> None:
    run_job(job, lambda event: None)
    with AnnotationStore.open(job.store) as store:
        store.add_many([100.0, 500.0], [100.0, 400.0], "a")
    other = write_slide(tmp_path / "other.png", seed=1)

    def replaced() -> bool:
        if other.exists():
            other.replace(job.slide)
        return False

    end = run_job(job, lambda event: None, replaced)
    assert isinstance(end, Failed), end
    assert end.message.startswith("slide.png was changed or replaced while it was read")
    assert _kept(job) == 40
