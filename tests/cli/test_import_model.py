from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from muse_core.models.registry import path_of_new_model

from ..job_inputs import write_slide
from ..models.released_checkpoint import random_backbone, teacher_of, write_checkpoint
from .running import run


def test_a_released_checkpoint_becomes_a_model_that_detect_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_checkpoint(tmp_path / "c.pth", teacher_of(random_backbone("vit_s_16-224")))
    out = tmp_path / "m.safetensors"
    assert run("models", "import", file, "--out", out, "--model-mpp", 0.25, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "backbone"
    assert (facts["name"], facts["mpp"], facts["path"]) == ("muse-vit-s16", 0.25, str(out))
    slide = write_slide(tmp_path / "s.png")
    arguments: Sequence[object] = ("--mpp", 0.5, "--out", tmp_path / "n.csv", "--model", out)
    assert run("detect", slide, *arguments) == 2
    assert "muse-vit-s16 is a backbone" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../m", "lung/m", "/m", "a:b", "a\nb", "..", "con", "muse-base"])
def test_a_name_leads_nowhere_else_and_is_no_bundled_models(
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "data" / "models"
    monkeypatch.setattr("muse_core.models.registry.user_model_folder", lambda: folder)
    # The name is looked at before the checkpoint, which is large.
    assert run("models", "import", tmp_path / "c.pth", "--name", name) == 2
    error = capsys.readouterr().err
    assert "cannot name a model" in error or "comes with napari-muse" in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert path_of_new_model("Größe 2") == folder / "Größe 2.safetensors"


def test_a_wrong_file_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"model": {}}, tmp_path / "c.pth")
    assert run("models", "import", tmp_path / "c.pth", "--out", tmp_path / "m.safetensors") == 2
    error = capsys.readouterr().err
    assert error == "error: c.pth is not a MUSE checkpoint: it has no entry 'teacher'.\n"


def test_a_pickle_of_another_form_is_refused_in_one_line_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.pth").write_bytes(pickle.dumps({"teacher": Path}, protocol=4))
    assert run("models", "import", tmp_path / "c.pth", "--out", tmp_path / "m.safetensors") == 2
    error = capfd.readouterr().err
    assert error.startswith("error: c.pth holds objects other than weights")
    assert error.count("\n") == 1
