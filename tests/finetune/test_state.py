from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from muse_core.errors import UserError
from muse_core.finetune.state import (
    Checkpoint,
    TrainState,
    require_finite,
)

QUALITIES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@given(QUALITIES)
def test_without_tolerance_the_best_is_kept_and_of_equals_the_last(qualities: list[float]) -> None:
    state = TrainState()
    for step, quality in enumerate(qualities):
        state.keep({"step": step, "quality": quality})
    assert state.best["quality"] == max(qualities)
    assert state.best["step"] == max(i for i, q in enumerate(qualities) if q == max(qualities))


@given(QUALITIES, st.floats(0, 0.5))
def test_with_tolerance_the_last_that_is_nearly_the_best_is_kept(
    qualities: list[float], tolerance: float
) -> None:
    state = TrainState()
    for step, quality in enumerate(qualities):
        state.keep({"step": step, "quality": quality}, tolerance)
    near = [i for i, q in enumerate(qualities) if q >= max(qualities[: i + 1]) - tolerance]
    assert state.best["step"] == near[-1]
    assert state.top == max(qualities)


def test_where_nothing_is_measured_the_last_is_kept() -> None:
    state = TrainState()
    assert state.keep({"step": 1})
    assert state.keep({"step": 2})
    assert state.best == {"step": 2}


def test_the_loss_is_averaged_from_the_first_step_on() -> None:
    state = TrainState()
    state.count(4.0, 0.25)
    state.count(0.0, 0.25)
    assert state.figures() == {"step": 2, "loss": 3.0}


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    parts = {"heads": nn.Linear(2, 3), "other": nn.Linear(1, 1)}
    state = TrainState(7, 0.25, {"step": 5, "quality": 0.5, "f_class": None}, 0.625)
    path, model = tmp_path / "run.checkpoint", tmp_path / "m.safetensors"
    model.touch()
    Checkpoint(path, "mine", parts, model).save(state)
    fresh = {"heads": nn.Linear(2, 3), "other": nn.Linear(1, 1)}
    assert Checkpoint(path, "mine", fresh, model).load() == state
    for name, part in parts.items():
        torch.testing.assert_close(part.state_dict(), fresh[name].state_dict(), rtol=0, atol=0)


def test_another_run_is_refused_and_none_leaves_all_as_it_is(tmp_path: Path) -> None:
    path, layer = tmp_path / "run.checkpoint", nn.Linear(2, 3)
    before = layer.weight.detach().clone()
    mine = Checkpoint(path, "mine", {"heads": layer}, path)
    assert mine.load() == TrainState()
    Checkpoint(path, "another's", {"heads": nn.Linear(2, 3)}, path).save(TrainState(step=3))
    with pytest.raises(UserError, match="is of another run"):
        mine.load()
    assert torch.equal(layer.weight, before)
    mine.remove()
    mine.remove()
    assert not path.exists()


def test_a_run_whose_best_weights_are_gone_is_not_resumed(tmp_path: Path) -> None:
    mine = Checkpoint(tmp_path / "run.checkpoint", "mine", {}, tmp_path / "m.safetensors")
    mine.save(TrainState(3))
    assert mine.load() == TrainState(3)
    mine.save(TrainState(3, best={"step": 2}))
    with pytest.raises(UserError, match=r"m\.safetensors, are no longer there; put the file back"):
        mine.load()
    mine.model.touch()
    assert mine.load() == TrainState(3, best={"step": 2})


def test_a_loss_that_is_no_number_names_its_step() -> None:
    assert require_finite(torch.tensor(0.5, requires_grad=True), 0) == 0.5
    for value in (float("nan"), float("inf")):
        with pytest.raises(UserError, match="no longer a number at step 8;"):
            require_finite(torch.tensor(value), 7)
