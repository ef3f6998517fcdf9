"""Running a command in this process."""

from __future__ import annotations

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


def detect(folder: Path, out: Path, *more: object, slide: Path | None = None) -> int:
    """Run ``muse detect`` with the small model of ``folder``, by default at 0.5 um/px."""
    fixed = ("--model", folder / "tiny.safetensors", "--device", "cpu", "--out", out)
    given = more if "--mpp" in more or "--no-mpp" in more else (*more, "--mpp", 0.5)
    given = tuple(g for g in given if g != "--no-mpp")
    return run("detect", slide or folder / "slide.png", *fixed, *given)


def error_line(capsys: Capture) -> str:
    """The error message of a refused command, which prints nothing else."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(".")
    return lines[0]
