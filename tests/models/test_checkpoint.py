from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from muse_core.errors import UserError
from muse_core.models.card import METADATA_KEY, ModelCard, read_card
from muse_core.models.checkpoint import as_saved, load_backbone, load_model, save_model
from muse_core.models.muse_model import MuseModel


def test_a_saved_model_predicts_the_same(tiny_model: MuseModel, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(tiny_model, path, half=False)
    loaded = load_model(path)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(image)[1].logit, tiny_model(image)[1].logit)
    assert loaded.card == tiny_model.card


def test_half_precision_halves_the_file(tiny_model: MuseModel, tmp_path: Path) -> None:
    save_model(tiny_model, tmp_path / "full.safetensors", half=False)
    save_model(tiny_model, tmp_path / "half.safetensors")
    full = (tmp_path / "full.safetensors").stat().st_size
    half = (tmp_path / "half.safetensors").stat().st_size
    assert half < 0.55 * full
    assert load_model(tmp_path / "half.safetensors").point_head.out.weight.dtype == torch.float32


def test_who_may_read_other_files_may_read_a_model(tiny_model: MuseModel, tmp_path: Path) -> None:
    save_model(tiny_model, tmp_path / "m.safetensors")
    (tmp_path / "other").touch()
    assert (tmp_path / "m.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


class _Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.target,)


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    path, trace = tmp_path / "m.safetensors", tmp_path / "executed"
    path.write_bytes(pickle.dumps(_Malicious(trace)))
    with pytest.raises(UserError, match="not a complete safetensors file"):
        load_model(path)
    assert not trace.exists()


def test_a_torch_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="not a MUSE model"):
        load_model(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_refused(tiny_model: MuseModel, tmp_path: Path, share: float) -> None:
    path = tmp_path / "m.safetensors"
    save_model(tiny_model, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"m\.safetensors"):
        load_model(path)


def test_a_model_is_loaded_by_its_name_too(
    tiny_model: MuseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muse_core.models.registry.user_model_folder", lambda: tmp_path)
    save_model(tiny_model, tmp_path / "mine.safetensors")
    assert load_model("mine").card == tiny_model.card
    assert load_model(str(tmp_path / "mine.safetensors")).card == tiny_model.card
    with pytest.raises(UserError, match="There is no model 'yours'; the models at hand are"):
        load_model("yours")


def test_missing_file_and_missing_card_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model file"):
        load_model(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(2)}, tmp_path / "plain.safetensors")
    with pytest.raises(UserError, match="no card"):
        load_model(tmp_path / "plain.safetensors")


def test_weights_of_another_architecture_are_refused(tiny_model: MuseModel, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(2)}, path, metadata={METADATA_KEY: tiny_model.card.to_text()})
    with pytest.raises(UserError, match="do not fit the architecture"):
        load_model(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 1}', "nonsense"])
def test_a_card_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        ModelCard.from_text(text)


def test_card_is_read_without_the_weights(tiny_model: MuseModel, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(tiny_model, path)
    assert read_card(path) == tiny_model.card


def test_unwritable_target_leaves_nothing(tiny_model: MuseModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        save_model(tiny_model, tmp_path / "file" / "m.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_is_measured_before_saving_is_what_is_read_again(
    tiny_model: MuseModel, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    written = as_saved(tiny_model)
    save_model(tiny_model, tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors").state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in loaded.items())
    for name, value in written.state_dict().items():
        assert torch.equal(value, loaded[name]), name
        assert torch.equal(tiny_model.state_dict()[name], before[name]), "the original stays"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_neither_written_nor_read(
    value: float, tiny_model: MuseModel, tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    save_model(tiny_model, path)
    state = load_file(path)
    key = next(k for k, v in state.items() if v.is_floating_point())
    state[key].flatten()[0] = value
    save_file(state, path, metadata={METADATA_KEY: tiny_model.card.to_text()})
    for read in (load_model, load_backbone):
        with pytest.raises(UserError, match="holds values that are no numbers"):
            read(path)

    broken = copy.deepcopy(tiny_model)
    with torch.no_grad():
        broken.state_dict()[key].flatten()[0] = value
    with pytest.raises(UserError, match="is too large or no number"):
        save_model(broken, tmp_path / "new.safetensors")
    assert not (tmp_path / "new.safetensors").exists()
