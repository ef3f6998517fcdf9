from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from muse_core.errors import UserError
from muse_core.evaluate.detection import evaluate_folder
from muse_core.finetune import FinetuneConfig, FinetuneResult, LabelSet, Listener, finetune
from muse_core.finetune.config import ViewConfig
from muse_core.finetune.result import ValidationFigures
from muse_core.models.backbone import MuseBackbone
from muse_core.models.card import ModelCard, read_card
from muse_core.models.checkpoint import load_model, save_backbone, save_model
from muse_core.models.config import BackboneConfig, HeadConfig, ModelConfig

from ...job_inputs import NARROW
from ...small_disk import fill, small_disk
from ...training.interrupting import interrupt_children

TINY = ModelConfig(NARROW, HeadConfig(hidden_channels=8))


def points_folder(root: Path, classes: tuple[str, ...], n_images: int = 2) -> Path:
    """Dark discs on pink, large ones of the first class and small ones of the second."""
    (root / "images").mkdir(parents=True)
    (root / "points").mkdir()
    rng = np.random.default_rng(0)
    for i in range(n_images):
        image = Image.new("RGB", (160, 160), (230, 190, 210))
        draw, rows = ImageDraw.Draw(image), ["x,y,class"]
        for cell in range(16):
            x, y = (np.array([cell % 4, cell // 4]) + 0.5) * 40 + rng.uniform(-8, 8, 2)
            kind = int(rng.integers(len(classes)))
            radius = (9, 5)[kind % 2]
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(70, 40, 120))
            rows.append(f"{x:.2f},{y:.2f},{classes[kind]}")
        image.save(root / "images" / f"{i}.png")
        (root / "points" / f"{i}.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    train = points_folder(tmp_path / "train", ("large", "small"))
    return FinetuneConfig(
        train=(LabelSet(train, 0.5),),
        val=LabelSet(train, 0.5),
        out=tmp_path / "model.safetensors",
        model=TINY,
        steps=6,
        batch=2,
        validate_every=2,
        device="cpu",
        views=ViewConfig(crop_px=96),
    )


def _weights(path: Path | None) -> dict[str, torch.Tensor]:
    assert path is not None
    return load_model(path).state_dict()


def _cancel_after(config: FinetuneConfig, steps: int) -> FinetuneResult:
    asked = iter(range(100))
    return finetune(config, Listener(should_cancel=lambda: next(asked) >= steps))


def test_a_class_that_validation_does_not_have_does_not_choose(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    val = points_folder(tmp_path / "val", ("large",))
    result = finetune(dataclasses.replace(config, val=LabelSet(val, 0.5)))
    assert result.metrics["f_class"].keys() == {"large"}


def test_processes_that_cut_crops_change_nothing(config: FinetuneConfig) -> None:
    alone = _weights(finetune(config).path)
    out = config.out.with_name("helped.safetensors")
    helped = _weights(finetune(dataclasses.replace(config, out=out, workers=2)).path)
    assert all(torch.equal(alone[name], helped[name]) for name in alone)


@pytest.mark.skipif(sys.platform == "win32", reason="no process is sent signals there")
def test_ctrl_c_leaves_the_processes_that_cut_crops_to_the_run(config: FinetuneConfig) -> None:
    helped = dataclasses.replace(config, workers=1, steps=10)
    result = finetune(helped, Listener(on_loss=lambda *_: interrupt_children()))
    assert result.steps_done == 10


def test_writes_a_model_that_says_where_it_came_from(config: FinetuneConfig) -> None:
    seen: list[tuple[int, int]] = []
    metrics: list[ValidationFigures] = []
    result = finetune(
        config,
        Listener(on_progress=lambda d, n, _: seen.append((d, n)), on_metrics=metrics.append),
    )
    assert seen == [(i, 6) for i in range(1, 7)]
    assert [m["step"] for m in metrics] == [2, 4, 6]
    assert not result.cancelled
    card = read_card(config.out)
    assert [c["name"] for c in card.classes] == ["large", "small"]
    assert card.training["nuclei"].keys() == {"large", "small"}
    assert card.training["settings"]["seed"] == 0
    assert str(config.out.parent) not in card.to_text()
    assert list(config.out.parent.glob("*.checkpoint")) == []


def test_the_same_seed_gives_the_same_model_and_another_seed_another(
    config: FinetuneConfig,
) -> None:
    results = []
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        out = config.out.with_name(f"{name}.safetensors")
        run = dataclasses.replace(config, seed=seed, out=out, val=None)
        results.append(_weights(finetune(run).path))
    key = "point_head.out.weight"
    assert torch.equal(results[0][key], results[1][key])
    assert not torch.equal(results[0][key], results[2][key])


def test_a_cancelled_run_resumes_as_if_unbroken(config: FinetuneConfig) -> None:
    config = dataclasses.replace(config, val=None)
    unbroken = finetune(dataclasses.replace(config, out=config.out.with_name("u.safetensors")))
    cancelled = _cancel_after(config, 4)
    assert cancelled.cancelled
    assert cancelled.steps_done == 4
    assert cancelled.path == config.out, "the best so far is kept"
    resumed = finetune(config)
    assert resumed.steps_done == 6
    first, second = _weights(unbroken.path), _weights(resumed.path)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_a_run_that_is_not_to_be_resumed_keeps_no_checkpoint(config: FinetuneConfig) -> None:
    result = _cancel_after(dataclasses.replace(config, resumable=False), 4)
    assert result.path == config.out, "the best so far is kept"
    assert list(config.out.parent.glob("*.checkpoint")) == []


def test_a_checkpoint_of_other_settings_is_refused(config: FinetuneConfig) -> None:
    _cancel_after(config, 4)
    steps: list[int] = []
    other = dataclasses.replace(config, learning_rate=1e-3)
    listener = Listener(on_progress=lambda done, *_: steps.append(done))
    checkpoint = config.out.with_suffix(".checkpoint")
    before = checkpoint.read_bytes()
    with pytest.raises(UserError, match=r"another run: it differs in learning_rate\. .*--restart"):
        finetune(other, listener)
    assert (steps, checkpoint.read_bytes()) == ([], before)
    finetune(dataclasses.replace(other, resume=False), listener)
    assert steps[0] == 1


def test_a_run_goes_on_wherever_its_data_lie_by_now(config: FinetuneConfig, tmp_path: Path) -> None:
    _cancel_after(config, 4)
    moved = LabelSet(config.train[0].folder.rename(tmp_path / "moved"), 0.5)
    steps: list[int] = []
    onward = dataclasses.replace(config, train=(moved,), val=moved, name="other", workers=1)
    finetune(onward, Listener(on_progress=lambda done, *_: steps.append(done)))
    assert steps == [5, 6]


def test_a_damaged_checkpoint_gets_a_sentence(config: FinetuneConfig) -> None:
    config.out.with_suffix(".checkpoint").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(UserError, match="damaged"):
        finetune(config)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_best(
    config: FinetuneConfig,
) -> None:
    finetune(dataclasses.replace(config, val=None))
    before = config.out.read_bytes()
    with pytest.raises(UserError, match=r"no longer a number.*lower learning rate"):
        finetune(
            dataclasses.replace(config, val=None, learning_rate=1e30, steps=20, validate_every=20)
        )
    assert config.out.read_bytes() == before


def test_learns_from_other_classes_without_taking_them(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    other = points_folder(tmp_path / "other", ("x", "y", "z"))
    run = dataclasses.replace(
        config, train=(*config.train, LabelSet(other, 0.55, classes_count=False))
    )
    finetune(run)
    assert [c["name"] for c in read_card(config.out).classes] == ["large", "small"]


def test_goes_on_from_a_base_model_and_keeps_its_classes(config: FinetuneConfig) -> None:
    finetune(config)
    onward = dataclasses.replace(
        config, base=config.out, out=config.out.with_name("child.safetensors"), steps=2
    )
    finetune(onward)
    assert read_card(onward.out).parent == "model"
    assert read_card(onward.out).name == "child"


def _onward(config: FinetuneConfig, tmp_path: Path, **changes: Any) -> FinetuneConfig:
    """A run from a model of "large" and "small" on a folder of "giant" and "large"."""
    finetune(dataclasses.replace(config, steps=2))
    other, val = (
        LabelSet(points_folder(tmp_path / name, ("giant", "large")), 0.5)
        for name in ("other", "other-val")
    )
    out = config.out.with_name("child.safetensors")
    values: dict[str, Any] = {
        "base": config.out,
        "train": (other,),
        "val": val,
        "out": out,
        "steps": 1,
    }
    return dataclasses.replace(config, **(values | changes))


def test_other_classes_than_the_base_has_get_a_class_head(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    run = _onward(config, tmp_path)
    result = finetune(run)
    assert [c["name"] for c in read_card(run.out).classes] == ["giant", "large"]
    assert result.notes == (
        "New to the model: 'giant'.",
        "No longer told apart by the model: 'small'.",
    )


def test_a_class_that_means_the_same_starts_from_what_is_known(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    run = _onward(
        config, tmp_path, class_map={"small": "giant"}, learning_rate=1e-9, validate_every=1
    )
    assert finetune(run).notes == ()
    base, child = load_model(config.out), load_model(run.out)
    torch.testing.assert_close(
        child.class_head.out.weight, base.class_head.out.weight.flip(0), rtol=2e-3, atol=2e-3
    )


def test_a_model_that_keeps_its_classes_says_that_none_means_another(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    run = _onward(config, tmp_path, train=config.train, val=config.val)
    swapped = dataclasses.replace(run, class_map={"small": "large", "large": "large"})
    assert finetune(swapped).notes == (
        f"{config.train[0].folder} is trained on as well as validated on, so that its figures say"
        " nothing of other tissue.",
        "The model keeps its classes; 'small' is not taken for 'large'.",
    )
    assert config.val is not None
    parted = [dataclasses.replace(config.val, names=(name,)) for name in ("0", "1")]
    apart = dataclasses.replace(run, train=(parted[0],), val=parted[1])
    assert finetune(dataclasses.replace(apart, resume=False)).notes == ()


def test_a_class_that_the_base_lacks_cannot_mean_the_same(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    run = _onward(config, tmp_path, class_map={"smal": "giant"})
    with pytest.raises(UserError, match=r"no class .smal.*; it has large, small"):
        finetune(run)


def test_a_class_to_validate_on_must_be_learnt(config: FinetuneConfig, tmp_path: Path) -> None:
    run = _onward(config, tmp_path)
    strange = LabelSet(points_folder(tmp_path / "strange", ("large", "odd")), 0.5)
    with pytest.raises(UserError, match="holds the class 'odd', which is not learnt"):
        finetune(dataclasses.replace(run, val=strange))


def test_without_validation_the_threshold_of_the_base_is_kept(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    run = _onward(config, tmp_path, val=None)
    base = load_model(config.out)
    base.card = dataclasses.replace(base.card, score_threshold=0.37)
    save_model(base, config.out, half=False)
    result = finetune(run)
    assert read_card(run.out).score_threshold == 0.37
    assert result.notes[0] == (
        "There is nothing to validate on: the weights are the last, and the score threshold of"
        " 0.37 is not chosen."
    )


def test_tiles_without_any_nucleus_neither_train_nor_validate(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    bare = LabelSet(points_folder(tmp_path / "bare", ("large",)), 0.5)
    for path in (bare.folder / "points").iterdir():
        path.write_text("x,y,class\n")
    with pytest.raises(UserError, match="bare, to validate on, has no annotated nucleus"):
        finetune(dataclasses.replace(config, val=bare))
    run = _onward(config, tmp_path, val=None, train=(bare,))
    with pytest.raises(UserError, match="There is no annotated nucleus to learn from"):
        finetune(run)
    negatives = dataclasses.replace(run, train=(bare, *config.train))
    assert finetune(negatives).path == run.out


def test_tiles_on_which_nuclei_cannot_be_seen_are_refused(config: FinetuneConfig) -> None:
    coarse = dataclasses.replace(config.train[0], mpp=50.0)
    with pytest.raises(UserError, match="At 50 microns per pixel nuclei cannot be seen"):
        finetune(dataclasses.replace(config, train=(coarse,)))


def test_class_maps_keep_the_classes_of_the_base(config: FinetuneConfig, tmp_path: Path) -> None:
    run = _onward(config, tmp_path, val=None)
    maps = {"giant": ("large",), "large": ("smal",)}
    misspelt = dataclasses.replace(run.train[0], class_map=maps)
    with pytest.raises(UserError, match="may be 'smal', which the model does not have"):
        finetune(dataclasses.replace(run, train=(misspelt,)))


def test_what_is_written_has_the_figures_that_are_said_of_it(config: FinetuneConfig) -> None:
    run = dataclasses.replace(
        config, steps=80, batch=4, validate_every=40, learning_rate=5e-3, ema_decay=0.9
    )
    result = finetune(run)
    assert result.metrics["f_det"] > 0.8, "discs are learnt"
    assert result.path is not None
    assert read_card(result.path).metrics["validation"] == result.metrics
    measured = evaluate_folder(config.train[0].folder, 0.5, result.path, device="cpu").to_json()
    for name in ("f_det", "f_avg", "f_class", "precision_det", "recall_det"):
        assert measured[name] == result.metrics[name], name


def test_a_backbone_gets_new_heads_and_keeps_its_features(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    backbone = MuseBackbone(BackboneConfig("resnet10t", (4, 4, 4, 4), 4)).eval()
    card = ModelCard(
        "base",
        {"backbone": BackboneConfig("resnet10t", (4, 4, 4, 4), 4).to_json()},
        0.25,
        224,
        [],
        0.5,
        kind="backbone",
    )
    save_backbone(backbone, card, tmp_path / "base.safetensors", half=False)
    run = dataclasses.replace(
        config, base=tmp_path / "base.safetensors", steps=1, batch=1, learning_rate=1e-9, val=None
    )
    finetune(run)
    model = load_model(config.out)
    assert (model.card.parent, model.card.mpp, model.card.kind) == ("base", 0.25, "detector")
    assert [c["name"] for c in model.card.classes] == ["large", "small"]
    for name, weights in backbone.named_parameters():
        torch.testing.assert_close(
            model.backbone.get_parameter(name), weights, rtol=2e-3, atol=2e-3
        )


def test_a_run_that_finds_the_disk_full_says_that_it_goes_on(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", "50m") as folder:
        run = dataclasses.replace(config, out=folder / "model.safetensors")
        filling = Listener(on_metrics=lambda figures: fill(folder))
        with pytest.raises(UserError, match=r"No space left on device\. The same command goes on"):
            finetune(run, filling)
        (folder / "ballast").unlink()
        assert finetune(run).steps_done == 6
