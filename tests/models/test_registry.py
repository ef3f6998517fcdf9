from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.models.card import ModelCard
from muse_core.models.checkpoint import load_model
from muse_core.models.registry import DEFAULT_MODEL, list_models, resolve_model


def test_the_bundled_model_is_listed_loads_and_is_small() -> None:
    entry = next(e for e in list_models() if e.name == DEFAULT_MODEL)
    assert entry.bundled
    assert entry.path.stat().st_size <= 20e6
    assert isinstance(load_model(entry.path).card, ModelCard)
    assert resolve_model(None) == resolve_model(DEFAULT_MODEL) == entry.path


def test_a_path_resolves_to_itself(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"")
    assert resolve_model(file) == file


def test_an_unknown_model_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(UserError, match=DEFAULT_MODEL):
        resolve_model("no-such-model")


def test_listing_models_needs_no_torch() -> None:
    code = (
        "import sys; from muse_core.models.registry import list_models; list_models();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
