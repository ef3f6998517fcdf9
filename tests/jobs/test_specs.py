from __future__ import annotations

import json
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.finetune import FinetuneConfig, LabelSet, StoreSource
from muse_core.finetune.config import ViewConfig
from muse_core.jobs import DetectJob, FinetuneJob, job_from_json
from muse_core.jobs.specs import FeaturesJob

JOBS = [
    DetectJob("slide.svs"),
    DetectJob(
        "slide.svs",
        model="m.safetensors",
        out_csv="out.csv",
        mpp=0.25,
        region=[0, 1.5, 20, 30],
        polygons=[[[0, 0], [10, 0], [5.5, 8]]],
        device="cpu",
        min_score=0.4,
        features_in="out.csv.features",
    ),
    FinetuneJob(FinetuneConfig(Path("m.safetensors"), (LabelSet(Path("a"), 0.5),))),
    FinetuneJob(
        FinetuneConfig(
            Path("m.safetensors"),
            (
                LabelSet(Path("a"), 0.5, names=("1", "2")),
                LabelSet(Path("b"), 0.55, 0.3, classes_count=False),
                LabelSet(Path("c"), 0.5, class_map={"x": ("tumor", "stromal"), "y": ("*",)}),
            ),
            val=LabelSet(Path("v"), 0.5),
            base=Path("muse-small-breast"),
            stores=(StoreSource(Path("s.muse"), Path("s.svs"), 0.25, True, "2,1,3"),),
            views=ViewConfig(crop_px=96, jpeg_quality=(10, 20)),
            class_map={"tumor": "large"},
            steps=7,
            resume=False,
        )
    ),
    FeaturesJob("slide.svs", "slide.svs.muse", mpp=0.5, plane=2),
]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_survives_the_way_through_json(job: DetectJob | FinetuneJob) -> None:
    assert job_from_json(json.loads(json.dumps(job.to_json()))) == job


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "A job is a JSON object"),
        ({}, "Unknown job kind None; it is one of detect, finetune"),
        ({"kind": "sing"}, "Unknown job kind 'sing'"),
        ({"kind": ["detect"]}, "Unknown job kind"),
        ({"kind": "detect"}, "field 'slide' is wrong: Field required"),
        ({"kind": "detect", "slide": 3}, "field 'slide' is wrong"),
        ({"kind": "detect", "slide": "a", "colour": 1}, "no field 'colour'"),
        ({"kind": "detect", "slide": "a", "mpp": "0.5"}, "field 'mpp' is wrong"),
        ({"kind": "detect", "slide": "a", "mpp": float("nan")}, "field 'mpp' is wrong"),
        ({"kind": "detect", "slide": "a", "min_score": True}, "field 'min_score' is wrong"),
        ({"kind": "detect", "slide": "a", "region": [1, 2, 3]}, "four numbers"),
        ({"kind": "detect", "slide": "a", "region": "1,2,3,4"}, "field 'region' is wrong"),
        ({"kind": "detect", "slide": "a", "polygons": [[1, 2]]}, "field 'polygons.0.0' is wrong"),
        ({"kind": "finetune"}, "field 'config' is wrong"),
        ({"kind": "finetune", "config": {"train": []}}, "field 'config.out' is wrong"),
        (
            {
                "kind": "finetune",
                "config": {"out": "m", "train": [{"folder": "a", "mpp": 0.5, "x": 1}]},
            },
            "no field 'config.train.0.x'",
        ),
        (
            {"kind": "finetune", "config": {"out": "m", "steps": 1.5}},
            "field 'config.steps' is wrong",
        ),
        (
            {"kind": "finetune", "config": {"out": "m", "model": {"backbone": {"layers": 1}}}},
            "no field 'config.model.backbone.layers'",
        ),
    ],
)
def test_a_wrong_spec_is_refused_with_a_sentence(data: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        job_from_json(data)


def test_a_spec_of_one_kind_is_not_taken_for_another() -> None:
    with pytest.raises(UserError, match="a 'finetune' job, not a 'detect' job"):
        DetectJob.from_json(JOBS[2].to_json())
