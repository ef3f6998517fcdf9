"""Running a command in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from muse_core.cli import main

Capture = pytest.CaptureFixture[str]


def run(*arguments: object) -> int:
    """Run ``muse ARGUMENTS``; returns the exit code."""
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


def others_than(given: Iterable[object], usual: Mapping[str, object]) -> list[object]:
    """Options with their usual values, without those that are given."""
    given = list(given)
    return [part for option in usual.items() if option[0] not in given for part in option]


def detect(folder: Path, out: Path, *more: object, slide: Path | None = None) -> int:
    """Run ``muse detect`` with the small model of ``folder``, by default at 0.5 um/px."""
    usual: dict[str, object] = {
        "--model": folder / "tiny.safetensors",
        "--device": "cpu",
        "--out": out,
    }
    if "--no-mpp" not in more:
        usual["--mpp"] = 0.5
    given = [g for g in more if g != "--no-mpp"]
    return run("detect", slide or folder / "slide.png", *others_than(given, usual), *given)


def error_line(capsys: Capture) -> str:
    """The error message of a refused command, which prints nothing else."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(".")
    return lines[0]
