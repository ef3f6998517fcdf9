from __future__ import annotations

from pathlib import Path

import pytest
import torch

from muse_core.errors import UserError
from muse_core.training.run_state import (
    identity_of,
    load_own_run,
    load_state,
    save_run,
    save_state,
)


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


def test_a_run_finds_its_own_state(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    own = identity_of({"a": 1, "b": {"c": [1, 2]}})
    assert load_own_run(own, path) is None
    save_run(own, {"step": 3}, path)
    state = load_own_run(identity_of({"b": {"c": [1, 2]}, "a": 1}), path)
    assert state is not None
    assert state["step"] == 3


def test_numbers_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    save_run(identity_of({"a": 40, "b": [1, 2.0]}), {"step": 3}, path)
    assert load_own_run(identity_of({"a": 40.0, "b": [1.0, 2]}), path) is not None


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"a": 2, "b": {"c": 3}}, r"another run: it differs in a\. Start anew with --restart"),
        ({"a": 1, "b": {"c": 4}}, r"it differs in b\.c\."),
        ({"a": 1, "b": 3}, r"it differs in b, b\.c\."),
        ({str(i): i for i in range(9)}, "it differs in 0, 1, 2 and 8 more"),
    ],
)
def test_the_state_of_another_run_is_refused(
    tmp_path: Path, other: dict[str, object], words: str
) -> None:
    path = tmp_path / "run.checkpoint"
    save_run(identity_of({"a": 1, "b": {"c": 3}}), {"step": 3}, path)
    with pytest.raises(UserError, match=words):
        load_own_run(identity_of(other), path)


@pytest.mark.parametrize("run", [{}, {"run": 3}, {"run": "no JSON"}, {"run": "[" * 100_000}])
def test_a_state_that_does_not_say_whose_it_is_is_refused(
    tmp_path: Path, run: dict[str, object]
) -> None:
    path = tmp_path / "run.checkpoint"
    save_state({**run, "fingerprint": "of an earlier version"}, path)
    with pytest.raises(UserError, match="is of another run"):
        load_own_run(identity_of({"a": 1}), path)
