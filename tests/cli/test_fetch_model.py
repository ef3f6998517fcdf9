from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from muse_core.models.released import RELEASED

from ..models.hub import Hub, serve
from ..models.released_checkpoint import random_backbone, teacher_of, write_checkpoint


def _muse(folder: Path, hub: Hub, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``muse`` as a user runs it, with models and cache of its own."""
    home = {"HF_HOME": str(folder / "hub"), "HF_ENDPOINT": hub.url, "LOCALAPPDATA": str(folder)}
    user = {"XDG_DATA_HOME": str(folder / "data"), "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-m", "muse_core.cli", *arguments],
        env=os.environ | home | user,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("released") / "c.pth"
    return write_checkpoint(path, teacher_of(random_backbone("vit_s_16-224"))).read_bytes()


def test_an_available_model_is_fetched_and_then_installed(
    checkpoint: bytes, tmp_path: Path
) -> None:
    with serve(Hub()) as hub:
        hub.put("vit_s_16-224.pth", checkpoint)
        before = _muse(tmp_path, hub, "models", "list")
        for released in RELEASED:
            assert f"{released.name}: backbone, available" in before.stdout
        absent = _muse(
            tmp_path, hub, "evaluate", "detect", ".", "--mpp", "1", "--model", "muse-r50"
        )
        assert absent.returncode == 2
        assert "muse models fetch muse-r50" in absent.stderr
        done = _muse(tmp_path, hub, "models", "fetch", "muse-vit-s16", "--json")
        assert done.returncode == 0, done.stderr
        assert Path(json.loads(done.stdout)["path"]).is_relative_to(tmp_path)
        listed = json.loads(_muse(tmp_path, hub, "models", "list", "--json").stdout)
        status = {entry["name"]: entry["status"] for entry in listed}
        assert status["muse-vit-s16"] == "installed"
        assert status["muse-r50"] == "available"
        refused = _muse(tmp_path, hub, "models", "fetch", "muse-r50")
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"error: {hub.url} has no file r50-224.pth")
