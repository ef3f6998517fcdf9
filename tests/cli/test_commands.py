"""Behaviour shared by all commands, and the short ones: version, help, info, models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from muse_core import __version__

from ..job_inputs import CLASSES
from .running import Capture, run


def test_the_version(capsys: Capture) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"napari-muse {__version__}\n"


@pytest.mark.parametrize("arguments", [("--help",), ("detect", "--help"), ("models", "list")])
def test_help_and_the_list_of_models_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\n"
        "from muse_core.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n"
        "    heavy = {'torch', 'pandas', 'scipy', 'skimage', 'timm'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_info_in_words_and_as_json(cmu_slide: Path, capsys: Capture) -> None:
    assert run("info", cmu_slide, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["width_px"], facts["height_px"], facts["mpp_um"]) == (2220, 2967, 0.499)
    assert run("info", cmu_slide) == 0
    text = capsys.readouterr().out
    assert "2220 x 2967 px" in text
    assert "0.499 um/px" in text


def test_info_on_a_slide_without_scale(folder: Path, capsys: Capture) -> None:
    assert run("info", folder / "slide.png") == 0
    assert "unknown; give --mpp" in capsys.readouterr().out
    assert run("info", folder / "slide.png", "--mpp", 0.25, "--json") == 0
    assert json.loads(capsys.readouterr().out)["mpp_um"] == 0.25


def test_models_list_names_the_models_at_hand(
    folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muse_core.models.registry.user_model_folder", lambda: folder, raising=True)
    assert run("models", "list", "--json") == 0
    entry = next(e for e in json.loads(capsys.readouterr().out) if e["name"] == "tiny")
    assert entry["classes"] == list(CLASSES)
    assert not entry["bundled"]
    assert run("models", "list") == 0
    assert "tiny: lymphocyte, tumor; 0.5 um/px" in capsys.readouterr().out
