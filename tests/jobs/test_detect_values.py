"""Conversion of detection settings to a job, and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from muse_core.detect.config import DetectConfig
from muse_core.errors import UserError
from muse_core.jobs import DetectJob
from muse_core.jobs.detect_job import detect_config
from muse_core.jobs.detect_values import detect_job, detect_values

GIVEN: dict[str, Any] = {
    "model": "m.safetensors", "mpp": 0.5, "force_mpp": True, "region": [1.0, 2.0, 30.0, 40.0],
    "image": 2, "plane": 3, "channels": "rgb", "device": "cpu", "min_score": 0.25,
    "backend": "torch", "tile_px": 512, "cell_px": 192, "halo_px": 32, "batch": 4,
    "min_tissue": 0.1, "readers": 2, "seam_radius_um": 3.0, "half_jpeg": False,
}  # fmt: skip


def test_values_of_a_job_give_it_back() -> None:
    job = detect_job(GIVEN, "a.svs", "run.toml")
    settings = {f.name: GIVEN[f.name] for f in fields(DetectConfig) if f.name in GIVEN}
    assert detect_config(job) == DetectConfig(**settings)
    values = detect_values(job, detect_config(job))
    assert values == {**detect_values(DetectJob("b.svs"), DetectConfig()), **GIVEN}
    assert detect_job(values, "a.svs", "run.json") == job


def test_nothing_given_is_the_default() -> None:
    assert detect_job({}, "a.svs", "run.toml") == DetectJob("a.svs")
    assert detect_config(detect_job({}, "a.svs", "run.toml")) == DetectConfig()


def test_every_setting_can_be_given() -> None:
    recorded = set(detect_values(DetectJob("a.svs"), DetectConfig()))
    assert recorded >= {field.name for field in fields(DetectConfig)}
    detect_job(detect_values(DetectJob("a.svs"), DetectConfig()), "a.svs", "run.json")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"colour": 3}, r"run.toml has an unknown field 'colour'\."),
        ({"tilepx": 3}, r"unknown field 'tilepx'; perhaps 'tile_px' is meant"),
        ({"devcie": "cpu"}, r"unknown field 'devcie'; perhaps 'device' is meant"),
        ({"schedular": "tcp://a:1"}, r"'schedular'; perhaps 'scheduler' is meant"),
        ({"slide": "b.svs"}, "unknown field 'slide'"),
        ({"out_csv": "n.csv"}, "unknown field 'out_csv'"),
        ({"settings": {"tile_px": 64}}, "unknown field 'settings'"),
        ({"mpp": "0.5"}, "the field 'mpp' is wrong"),
        ({"mpp": True}, "the field 'mpp' is wrong"),
        ({"mpp": 500}, "between 0.01 and 100"),
        ({"device": "gpu"}, "Unknown device"),
        ({"backend": "jax"}, "Unknown backend"),
        ({"tile_px": 100}, "multiples of 32"),
        ({"region": [1, 2, 3]}, "four numbers"),
        ({"plane": 0}, "counts from 1"),
        ({"features": 1}, "the field 'features' is wrong"),
        ({"resume": "no"}, "the field 'resume' is wrong"),
    ],
)
def test_values_that_cannot_be_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        detect_job(values, "a.svs", "run.toml")
