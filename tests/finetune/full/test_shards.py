from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from muse_core.errors import UserError
from muse_core.finetune import FinetuneConfig, LabelSet, finetune
from muse_core.finetune.config import ConsistencyConfig, ViewConfig
from muse_core.finetune.data.crop_dataset import CropDataset, collate
from muse_core.finetune.data.sources import load_training_data
from muse_core.finetune.full.shards import Shards
from muse_core.finetune.full.step import FullLearner
from muse_core.models.checkpoint import load_model
from muse_core.models.config import HeadConfig, ModelConfig
from muse_core.models.muse_model import MuseModel

from ...job_inputs import NARROW, write_model, write_points_folder

TINY = ModelConfig(NARROW, HeadConfig(8, dropout=0.5))


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    return FinetuneConfig(
        train=(LabelSet(write_points_folder(tmp_path / "train"), 0.5),),
        out=tmp_path / "model.safetensors",
        model=TINY,
        steps=4,
        batch=4,
        validate_every=2,
        device="cpu",
        views=ViewConfig(crop_px=96),
        shards=2,
    )


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums are added in the order in which each shard adds them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_gradients_are_the_mean_of_those_of_the_parts(config: FinetuneConfig) -> None:
    data = load_training_data(config.train)
    model = load_model(write_model(config.out.parent / "m.safetensors"))
    learner = FullLearner(model, data, HeadConfig(8))
    dataset = CropDataset(data.sources, config.views, 0.5, 5, seed=0)
    batch = collate([dataset[i] for i in range(5)])

    def loss(network: FullLearner, part: object, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return network.losses(part, config.losses, generator).total  # type: ignore[arg-type]

    expected = []
    for part, seed in ((batch.part(0, 2), 7), (batch.part(2, 5), 8)):
        learner.train().zero_grad()
        loss(learner, part, seed).backward()
        expected.append([p.grad.clone() for p in learner.parameters() if p.grad is not None])
    shards = Shards(learner, 2)
    shards.backward(batch, [7, 8], loss)
    shards.close()
    found = [p.grad for p in learner.parameters() if p.grad is not None]
    assert len(found) == len(expected[0]) > 10
    for gradient, first, second in zip(found, *expected, strict=True):
        assert gradient is not None
        torch.testing.assert_close(gradient, (first + second) / 2, rtol=1e-3, atol=1e-5)


def test_a_run_in_parts_repeats_bit_by_bit(config: FinetuneConfig, tmp_path: Path) -> None:
    finetune(config)
    whole = load_model(config.out)
    again = dataclasses.replace(config, out=tmp_path / "again.safetensors")
    finetune(again)
    _same(whole, load_model(again.out))
    changed = dataclasses.replace(config, shards=1, out=tmp_path / "one.safetensors")
    finetune(changed)
    ours, theirs = (next(m.parameters()) for m in (whole, load_model(changed.out)))
    assert not torch.equal(ours, theirs)


def _same(one: MuseModel, other: MuseModel) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_more_parts_than_crops_and_parts_with_pseudo_labels_are_refused(
    config: FinetuneConfig,
) -> None:
    with pytest.raises(UserError, match="between 1 and batch"):
        dataclasses.replace(config, shards=5)
    with pytest.raises(UserError, match="batches whole"):
        dataclasses.replace(config, consistency=ConsistencyConfig(weight=1.0))
