from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from muse_core.models.released import RELEASED

from ..models.hub import Hub, serve
from ..models.released_checkpoint import random_backbone, teacher_of, write_checkpoint

# Runs the command line for each list of arguments; prints exit code and output of each.
_EACH = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from muse_core.cli import main

for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


class Said(NamedTuple):
    code: int
    out: str
    err: str


def _muse(folder: Path, hub: Hub, *commands: list[str]) -> list[Said]:
    """``muse`` as a user runs it, with its own models and cache; all commands in one process."""
    home = {"HF_HOME": str(folder / "hub"), "HF_ENDPOINT": hub.url, "LOCALAPPDATA": str(folder)}
    user = {"XDG_DATA_HOME": str(folder / "data"), "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", _EACH, json.dumps(commands)],
        env=os.environ | home | user,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return [Said(*json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("released") / "c.pth"
    return write_checkpoint(path, teacher_of(random_backbone("vit_s_16-224"))).read_bytes()


def test_an_available_model_is_fetched_and_then_installed(
    checkpoint: bytes, tmp_path: Path
) -> None:
    with serve(Hub()) as hub:
        hub.put("vit_s_16-224.pth", checkpoint)
        before, absent, done = _muse(
            tmp_path,
            hub,
            ["models", "list"],
            ["evaluate", "detect", ".", "--mpp", "1", "--model", "muse-r50"],
            ["models", "fetch", "muse-vit-s16", "--json"],
        )
        for released in RELEASED:
            assert f"{released.name}: backbone, available" in before.out
        assert absent.code == 2
        assert "muse models fetch muse-r50" in absent.err
        assert done.code == 0, done.err
        assert Path(json.loads(done.out)["path"]).is_relative_to(tmp_path)
        after, refused = _muse(
            tmp_path, hub, ["models", "list", "--json"], ["models", "fetch", "muse-r50"]
        )
        status = {entry["name"]: entry["status"] for entry in json.loads(after.out)}
        assert status["muse-vit-s16"] == "installed"
        assert status["muse-r50"] == "available"
        assert refused.code == 2
        assert refused.err.startswith(f"error: {hub.url} has no file r50-224.pth")
