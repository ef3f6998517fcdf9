"""Learning from a larger model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from muse_core.errors import UserError
from muse_core.finetune import FinetuneConfig, LabelSet, Listener, finetune
from muse_core.finetune.config import DistillationConfig, LossConfig, ViewConfig
from muse_core.finetune.presets import read_finetune_config
from muse_core.finetune.record import record_path
from muse_core.models.card import read_card
from muse_core.models.checkpoint import load_model, save_model

from .test_train import TINY, points_folder


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    train = points_folder(tmp_path / "train", ("large", "small"))
    return FinetuneConfig(
        train=(LabelSet(train, 0.5),),
        out=tmp_path / "model.safetensors",
        model=TINY,
        steps=4,
        batch=2,
        validate_every=2,
        device="cpu",
        views=ViewConfig(crop_px=96),
    )


@pytest.fixture
def teacher(config: FinetuneConfig, tmp_path: Path) -> Path:
    path = tmp_path / "teacher.safetensors"
    finetune(dataclasses.replace(config, out=path, seed=7))
    model = load_model(path)
    model.card = dataclasses.replace(model.card, name="the teacher", licence="CC-BY-NC-SA-4.0")
    save_model(model, path)
    return path


def taught(config: FinetuneConfig, teacher: Path, **values: float) -> FinetuneConfig:
    return dataclasses.replace(config, distillation=DistillationConfig(teacher, **values))


def test_a_student_of_faint_labels_comes_to_say_what_its_teacher_says(
    config: FinetuneConfig, teacher: Path
) -> None:
    faint = LossConfig(regression=1e-6, nucleus=1e-6, classes=1e-6)
    long = dataclasses.replace(
        config, steps=24, validate_every=24, learning_rate=3e-3, losses=faint, ema_decay=0.9
    )
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))

    def distance(path: Path) -> float:
        with torch.inference_mode():
            own, other = (load_model(p)(image)[1].logit for p in (path, teacher))
        return float((own - other).abs().mean())

    finetune(long)
    alone = distance(config.out)
    out = config.out.with_name("taught.safetensors")
    finetune(taught(dataclasses.replace(long, out=out), teacher, weight=1000.0))
    assert distance(out) < alone / 2


def test_the_card_names_the_teacher_and_has_its_licence(
    config: FinetuneConfig, teacher: Path
) -> None:
    finetune(taught(config, teacher))
    card = read_card(config.out)
    settings = card.training["settings"]
    assert settings["distillation"]["teacher"] == "the teacher"
    assert str(teacher.parent) not in str(card.training)
    assert card.licence == "CC-BY-NC-SA-4.0"


def test_the_record_of_a_run_repeats_it(config: FinetuneConfig, teacher: Path) -> None:
    finetune(taught(config, teacher))
    again = read_finetune_config(record_path(config.out))
    assert again.distillation == DistillationConfig(teacher)


def test_parts_of_a_batch_learn_from_it_too(config: FinetuneConfig, teacher: Path) -> None:
    def first_loss(name: str, **distillation: float) -> float:
        losses: list[float] = []
        run = dataclasses.replace(config, shards=2, out=config.out.with_name(name))
        run = taught(run, teacher, **distillation) if distillation else run
        finetune(run, Listener(on_loss=lambda step, loss: losses.append(loss)))
        return losses[0]

    alone = first_loss("alone.safetensors")
    once = first_loss("once.safetensors", weight=500.0) - alone
    twice = first_loss("twice.safetensors", weight=1000.0) - alone
    assert once > 0.1
    assert twice == pytest.approx(2 * once, rel=1e-2)


def test_a_run_with_another_teacher_is_another_run(config: FinetuneConfig, teacher: Path) -> None:
    asked = iter(range(10))
    finetune(taught(config, teacher), Listener(should_cancel=lambda: next(asked) >= 2))
    with pytest.raises(UserError, match="of another run"):
        finetune(config)
    result = finetune(taught(config, teacher))
    assert result.steps_done == 4


def test_a_teacher_of_other_classes_or_scale_is_refused(
    config: FinetuneConfig, teacher: Path, tmp_path: Path
) -> None:
    other = points_folder(tmp_path / "other", ("small", "large", "odd"))
    with pytest.raises(UserError, match="the same, in the same order"):
        finetune(taught(dataclasses.replace(config, train=(LabelSet(other, 0.5),)), teacher))
    with pytest.raises(UserError, match=r"0\.5 um/px, but this run at 0\.25"):
        finetune(taught(dataclasses.replace(config, mpp=0.25), teacher))
    with pytest.raises(UserError, match="no model"):
        finetune(taught(config, tmp_path / "gone.safetensors"))
    with pytest.raises(UserError, match="model to learn from"):
        finetune(taught(dataclasses.replace(config, out=teacher), teacher))


def test_heads_alone_have_no_teacher(config: FinetuneConfig, teacher: Path) -> None:
    with pytest.raises(UserError, match="mode full"):
        taught(dataclasses.replace(config, mode="adapt", base=teacher), teacher)
    with pytest.raises(UserError, match="above 0"):
        DistillationConfig(teacher, weight=0.0)
