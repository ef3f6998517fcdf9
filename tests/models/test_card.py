from __future__ import annotations

import json
from pathlib import Path

import platformdirs
import pytest

from muse_core.errors import UserError
from muse_core.models.card import METADATA_KEY, ModelCard, read_card
from muse_core.models.config import ModelConfig
from muse_core.models.registry import DEFAULT_MODEL, list_models, resolve_model

CARD = json.loads(
    ModelCard("m", {"backbone": {}}, 0.5, 256, [{"name": "a", "color": "#112233"}], 0.5).to_text()
)
DEEP = "[" * 100_000
LONG = "9" * 5_000


def _file(path: Path, header: str) -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    return path


def _with_card(path: Path, card: str) -> Path:
    return _file(path, json.dumps({"__metadata__": {METADATA_KEY: card}}))


def test_a_card_comes_back_as_it_was() -> None:
    assert ModelCard.from_text(json.dumps(CARD)).to_text() == json.dumps(CARD, sort_keys=True)


@pytest.mark.parametrize(
    "card",
    [
        DEEP,
        LONG,
        "{",
        "[]",
        "{}",
        json.dumps(CARD | {"mpp": 10**400}),
        json.dumps(CARD | {"mpp": "0.5"}),
        json.dumps(CARD | {"mpp": 1e-9}),
        json.dumps(CARD | {"score_threshold": "high"}),
        json.dumps(CARD | {"name": 5}),
        json.dumps(CARD | {"name": " "}),
        json.dumps(CARD | {"fov_px": 0}),
        json.dumps(CARD | {"fov_px": True}),
        json.dumps(CARD | {"fov_px": "a"}),
        json.dumps(CARD | {"classes": "a"}),
        json.dumps(CARD | {"classes": [1]}),
        json.dumps(CARD | {"classes": [{"name": "a"}]}),
        json.dumps(CARD | {"architecture": []}),
        json.dumps(CARD | {"kind": "oracle"}),
    ],
    ids=range(19),
)
def test_what_is_no_card_gets_a_sentence(tmp_path: Path, card: str) -> None:
    with pytest.raises(UserError, match=r"\.$"):
        read_card(_with_card(tmp_path / "m.safetensors", card))


@pytest.mark.parametrize(
    "backbone",
    [
        {"hyper_channels": 1_000_000},
        {"hyper_channels": 64.0},
        {"hyper_channels": True},
        {"decoder_channels": [64, 64, 64, 10**30]},
        {"decoder_channels": [64, 64]},
        {"encoder": ["resnet10t"]},
        {"input_px": 10**9},
    ],
    ids=range(7),
)
def test_no_network_is_built_that_could_not_be_held(backbone: dict[str, object]) -> None:
    head = {"hidden_channels": 64, "dropout": 0.1}
    with pytest.raises(UserError, match=r"\.$"):
        ModelConfig.from_json({"backbone": backbone, "head": head})


@pytest.mark.parametrize("hidden", [1.5, 0, 10**9, "64"])
def test_no_head_is_built_that_could_not_be_held(hidden: object) -> None:
    with pytest.raises(UserError, match=r"\.$"):
        ModelConfig.from_json({"backbone": {}, "head": {"hidden_channels": hidden}})


def test_a_newer_card_asks_for_an_update_whatever_else_is_in_it(tmp_path: Path) -> None:
    newer = json.dumps(CARD | {"format_version": 2, "fov_px": [256, 512], "classes": {}})
    with pytest.raises(UserError, match="update napari-muse"):
        read_card(_with_card(tmp_path / "m.safetensors", newer))


@pytest.mark.parametrize("header", [DEEP, LONG, "{", "[]", '{"__metadata__": 1}', ""])
def test_what_is_no_header_gets_a_sentence(tmp_path: Path, header: str) -> None:
    with pytest.raises(UserError, match=r"\.$"):
        read_card(_file(tmp_path / "m.safetensors", header))


def test_a_bad_file_among_the_users_models_keeps_none_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *_, **__: str(tmp_path))
    (tmp_path / "models").mkdir()
    _file(tmp_path / "models" / "deep.safetensors", DEEP)
    _with_card(tmp_path / "models" / "long.safetensors", LONG)
    bundled = {DEFAULT_MODEL, "muse-small", "muse-small-breast"}
    assert {entry.name for entry in list_models()} == bundled
    assert resolve_model(None).is_file()


def test_a_pointer_of_git_lfs_is_no_damaged_model(tmp_path: Path) -> None:
    """As a repository of models has it that was cloned without LFS."""
    path = tmp_path / "m.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(UserError, match="is a pointer of Git LFS and not the file itself"):
        read_card(path)
