from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muse_core.detect.kept_run import unfinished_runs
from muse_core.finetune import FinetuneConfig, LabelSet
from muse_core.jobs import DetectJob, FinetuneJob, run_job
from muse_core.jobs.events import (
    Cancelled,
    DetectionStarted,
    Done,
    Ended,
    Event,
    Failed,
    MetricsMeasured,
    NucleiFound,
    Progress,
)
from muse_core.models.card import read_card
from muse_core.nuclei import read_csv

from ..job_inputs import CLASSES, write_model, write_points_folder, write_slide


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def job(folder: Path) -> DetectJob:
    slide, model = write_slide(folder / "slide.png"), write_model(folder / "tiny.safetensors")
    return DetectJob(str(slide), str(model), mpp=0.5, device="cpu")


@pytest.fixture(scope="module")
def wide_job(folder: Path, job: DetectJob) -> DetectJob:
    """Several tiles, so that a run can be cancelled between them."""
    slide = write_slide(folder / "wide.png", 2700, 300)
    return dataclasses.replace(job, slide=str(slide), settings={"tile_px": 512})


def terminal(events: list[Event]) -> list[Event]:
    return [e for e in events if isinstance(e, Ended)]


def test_a_detect_job_tells_everything_it_finds_and_writes_it(
    job: DetectJob, tmp_path: Path
) -> None:
    events: list[Event] = []
    out = tmp_path / "nuclei.csv"
    last = run_job(dataclasses.replace(job, out_csv=str(out)), events.append)
    assert isinstance(last, Done), last
    assert terminal(events) == [last] == [events[-1]]
    started = events[0]
    assert isinstance(started, DetectionStarted)
    assert [c["name"] for c in started.classes] == list(CLASSES)
    assert (started.model, started.mpp) == ("tiny", 0.5)
    table = read_csv(out)
    told = [e for e in events if isinstance(e, NucleiFound)]
    assert len(table) > 20
    assert last.result["nuclei"] == len(table) == sum(len(e.x) for e in told)
    np.testing.assert_allclose(np.concatenate([e.x for e in told]), table["x"])
    names = [CLASSES[i] for e in told for i in e.class_index]
    assert names == table["class_name"].tolist()
    assert sum(last.result["counts"].values()) == len(table)
    assert last.result["tissue_mm2"] == pytest.approx(700 * 500 * 0.25 / 1e6, rel=0.05)
    assert last.result["peak_rss_mb"] > 50
    done = [(e.done, e.total) for e in events if isinstance(e, Progress)]
    assert done[-1] == (last.result["tiles_total"],) * 2


def test_cancel_keeps_what_was_found_also_in_the_file(wide_job: DetectJob, tmp_path: Path) -> None:
    events: list[Event] = []
    out = tmp_path / "nuclei.csv"
    last = run_job(
        dataclasses.replace(wide_job, out_csv=str(out)),
        events.append,
        should_cancel=lambda: any(isinstance(e, NucleiFound) for e in events),
    )
    assert isinstance(last, Cancelled)
    assert terminal(events) == [last]
    result = last.result
    assert 0 < result["tiles_done"] < result["tiles_total"]
    assert len(read_csv(out)) == result["nuclei"] > 0
    assert f"{result['nuclei']:,} nuclei found until then are kept" in last.message


def test_cancelled_before_the_first_tile_an_earlier_result_stays(
    wide_job: DetectJob, tmp_path: Path
) -> None:
    earlier = tmp_path / "n.csv"
    earlier.write_text("an earlier result")
    job = dataclasses.replace(wide_job, out_csv=str(earlier), features_in=f"{earlier}.features")
    last = run_job(job, lambda _: None, should_cancel=lambda: True)
    assert isinstance(last, Cancelled), last
    total = last.result["tiles_total"]
    assert last.message == f"Cancelled before the first of {total} tiles; nothing is written."
    assert earlier.read_text() == "an earlier result"
    assert [p.name for p in tmp_path.iterdir()] == ["n.csv"]


def test_ctrl_c_in_the_middle_is_a_cancel(job: DetectJob) -> None:
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, NucleiFound):
            raise KeyboardInterrupt

    assert isinstance(run_job(job, emit), Cancelled)
    assert [type(e) for e in terminal(events)] == [Cancelled]


def test_an_unforeseen_error_ends_in_one_failure_with_reason_and_traceback(
    job: DetectJob, tmp_path: Path
) -> None:
    events: list[Event] = []
    out = tmp_path / "nuclei.csv"

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, NucleiFound):
            raise RuntimeError("the cable is loose")

    last = run_job(dataclasses.replace(job, out_csv=str(out)), emit)
    assert terminal(events) == [last]
    assert isinstance(last, Failed)
    assert last.message.startswith("Detection failed: RuntimeError: the cable is loose. ")
    assert "Traceback" in last.detail
    # Reports of finished tiles are kept, so that the same job can be resumed.
    (kept,) = tmp_path.iterdir()
    assert kept in unfinished_runs(tmp_path / ".nuclei.csv.muse")


def test_a_listener_that_always_fails_does_not_raise_into_the_caller(job: DetectJob) -> None:
    def emit(event: Event) -> None:
        raise BrokenPipeError

    assert isinstance(run_job(job, emit), Failed)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"slide": "missing.svs"}, "missing.svs"),
        ({"mpp": None}, "scale"),
        ({"model": "no-such-model"}, "no model 'no-such-model'"),
        ({"region": [5000, 0, 10, 10]}, "outside the slide, which is 700 x 500 px"),
        ({"out_csv": "missing-folder/out.csv"}, "there is no folder"),
        ({"polygons": []}, "no polygon"),
        ({"polygons": [[[0, 0], [1, 1]]]}, "three vertices"),
        ({"device": "tpu"}, "Unknown device"),
        ({"min_score": 2.0}, "between 0 and 1"),
    ],
)
def test_bad_input_is_one_sentence_without_traceback(
    job: DetectJob, changes: dict[str, Any], sentence: str
) -> None:
    events: list[Event] = []
    last = run_job(dataclasses.replace(job, **changes), events.append)
    assert last == events[-1]
    assert last == Failed(last.message)
    assert sentence in last.message


def test_an_unwritable_output_is_found_before_the_work_starts(job: DetectJob) -> None:
    events: list[Event] = []
    run_job(dataclasses.replace(job, out_csv="missing-folder/out.csv"), events.append)
    assert [type(e) for e in events] == [Failed]


def test_the_slide_is_not_overwritten(job: DetectJob) -> None:
    before = Path(job.slide).read_bytes()
    last = run_job(dataclasses.replace(job, out_csv=job.slide), lambda _: None)
    assert "it is the input itself" in last.message
    assert Path(job.slide).read_bytes() == before


def test_a_region_partly_outside_is_clipped_and_noted(job: DetectJob) -> None:
    events: list[Event] = []
    last = run_job(
        dataclasses.replace(job, region=[500, 300, 500, 500], backend="torch"), events.append
    )
    assert isinstance(last, Done)
    assert last.result["notes"] == [
        "The region reaches beyond the slide, which is 700 x 500 px; looking at 500,300,200,200."
    ]
    x = np.concatenate([e.x for e in events if isinstance(e, NucleiFound)])
    assert len(x)
    assert ((x >= 500) & (x < 700)).all()


def test_a_slide_much_coarser_than_the_model_is_noted(job: DetectJob) -> None:
    last = run_job(
        dataclasses.replace(job, mpp=1.0, region=[0, 0, 90, 90], backend="torch"), lambda _: None
    )
    (note,) = last.result["notes"]
    assert note.startswith("The slide has 1 um/px, much coarser than the 0.5 um/px that tiny")


def test_a_slide_on_which_nuclei_cannot_be_seen_is_refused(job: DetectJob) -> None:
    last = run_job(dataclasses.replace(job, mpp=50.0), lambda _: None)
    assert last.message == (
        "At 50 microns per pixel nuclei cannot be seen; check the scale. The model was trained at"
        " 0.5."
    )


def test_polygons_give_the_nuclei_inside_them(job: DetectJob) -> None:
    triangle = [[100, 100], [600, 100], [100, 450]]
    events: list[Event] = []
    last = run_job(dataclasses.replace(job, polygons=[triangle]), events.append)
    told = [e for e in events if isinstance(e, NucleiFound)]
    x, y = (np.concatenate([getattr(e, k) for e in told]) for k in ("x", "y"))
    assert last.result["nuclei"] == len(x) > 5
    assert ((x >= 100) & (y >= 100) & ((x - 100) / 500 + (y - 100) / 350 <= 1.001)).all()


@pytest.fixture(scope="module")
def train_job(tmp_path_factory: pytest.TempPathFactory) -> FinetuneJob:
    root = tmp_path_factory.mktemp("train")
    train = write_points_folder(root / "train")
    return FinetuneJob(
        FinetuneConfig(
            root / "new.safetensors",
            (LabelSet(train, 0.5),),
            val=LabelSet(train, 0.5),
            base=write_model(root / "base.safetensors"),
            steps=4,
            batch=1,
            validate_every=2,
            device="cpu",
            resume=False,
        )
    )


def test_a_finetune_job_reports_steps_and_figures_and_writes_a_model(
    train_job: FinetuneJob,
) -> None:
    events: list[Event] = []
    last = run_job(train_job, events.append)
    assert isinstance(last, Done), last
    assert terminal(events) == [last]
    assert [e.figures["step"] for e in events if isinstance(e, MetricsMeasured)] == [2, 4]
    assert [e for e in events if isinstance(e, Progress)][-1].done == 4
    card = read_card(last.result["model"])
    assert [c["name"] for c in card.classes] == list(CLASSES)
    assert card.parent == "tiny"


def test_a_cancelled_finetune_job_says_what_is_kept(train_job: FinetuneJob, tmp_path: Path) -> None:
    job = FinetuneJob(dataclasses.replace(train_job.config, out=tmp_path / "m.safetensors"))
    last = run_job(job, lambda _: None, should_cancel=lambda: True)
    assert isinstance(last, Cancelled)
    assert last.message == "Cancelled after 0 of 4 steps; no model is written yet."


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train": (LabelSet(Path("missing"), 0.5),)}, "There is no folder missing"),
        ({"out": Path("missing/m.safetensors")}, "there is no folder missing"),
        ({"base": Path("no-such-model")}, "no model 'no-such-model'"),
    ],
)
def test_bad_training_input_is_one_sentence(
    train_job: FinetuneJob, changes: dict[str, Any], sentence: str
) -> None:
    config = dataclasses.replace(train_job.config, **changes)
    last = run_job(FinetuneJob(config), lambda _: None)
    assert last == Failed(last.message)
    assert sentence in last.message
