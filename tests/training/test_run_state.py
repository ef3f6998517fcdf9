from __future__ import annotations

from pathlib import Path

import pytest
import torch

from muse_core.errors import UserError
from muse_core.training.run_state import load_state, save_state


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    assert load_state(path) is None
    save_state({"step": 3, "weights": torch.arange(3)}, path)
    state = load_state(path)
    assert state is not None
    assert state["step"] == 3
    assert state["weights"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(2000),
        bytes(range(128, 256)) * 10,
        b"hello world, this is no checkpoint\n",
        b"step,loss\n1,0.5\n",
        b"PK\x03\x04" + bytes(500),
    ],
    ids=["empty", "zeros", "bytes", "text", "table", "archive"],
)
def test_a_damaged_file_gets_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.checkpoint"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"run\.checkpoint is damaged; delete it"):
        load_state(path)


def test_half_a_file_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    save_state({"weights": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="is damaged"):
        load_state(path)


def test_a_changed_byte_of_a_weight_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    save_state({"weights": torch.full((1000,), 1.5)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((4,), 1.5).numpy().tobytes()) + 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"run\.checkpoint is damaged; delete it"):
        load_state(path)


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), "text"])
def test_another_object_than_a_state_gets_a_sentence(tmp_path: Path, content: object) -> None:
    path = tmp_path / "run.checkpoint"
    torch.save(content, path)
    with pytest.raises(UserError, match=r"run\.checkpoint is damaged"):
        load_state(path)
