from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..job_inputs import write_model, write_points_folder
from .running import run


def test_probe_of_a_model_and_of_random_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, folder = write_model(tmp_path / "m.safetensors"), tmp_path / "f"
    write_points_folder(folder)
    options = ("--train", folder, "--test", folder, "--mpp", 0.5, "--model", model)
    answers = []
    for extra in ((), ("--random-init",), ("--random-init",)):
        assert run("evaluate", "probe", *options, "--protocol", "knn", "--json", *extra) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0]["protocol"] == "knn"
    assert (answers[0]["mpp"], answers[0]["fov_px"]) == (0.5, 224)
    assert set(answers[0]["per_class"]) == {"lymphocyte", "tumor"}
    assert answers[1] == answers[2]
    assert run("evaluate", "probe", *options, "--fov-px", 100) == 2
    assert "224 or 512" in capsys.readouterr().err
    assert run("evaluate", "probe", *options, "--seed", 2**64) == 2
    assert "The seed is at least 0 and below" in capsys.readouterr().err
