from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from muse_core.data.points_folder import read_points_folder
from muse_core.errors import UserError
from muse_core.finetune import FinetuneConfig, LabelSet, Listener, StoreSource, finetune
from muse_core.finetune.config import AdaptConfig
from muse_core.finetune.data.field_data import load_fields
from muse_core.finetune.result import ValidationFigures
from muse_core.finetune.state import checkpoint_of
from muse_core.models.card import read_card
from muse_core.models.checkpoint import load_model, save_model
from muse_core.models.registry import resolve_model
from muse_core.nuclei import ClassScheme, NucleusClass, nucleus_table
from muse_core.nuclei.store import AnnotationStore, identify_slide

from ...job_inputs import write_points_folder
from ..annotated import CLASSES, MPP, reviewed_store, square, store_beside, store_run

SQUARES = [(20, 20, 160), (260, 20, 160), (20, 260, 160), (260, 260, 160)]


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    return store_run(
        tmp_path,
        reviewed_store(tmp_path, SQUARES),
        mode="adapt",
        steps=20,
        validate_every=5,
        adapt=AdaptConfig(most_views=2, margin_px=32),
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_model(path).state_dict()


def cancel_after(steps: int, config: FinetuneConfig) -> Any:
    """Run and cancel after a number of steps."""
    made: list[int] = []
    listener = Listener(
        should_cancel=lambda: bool(made) and made[-1] >= steps,
        on_loss=lambda step, _: made.append(step),
    )
    return finetune(config, listener)


def test_the_heads_learn_and_the_backbone_stays(config: FinetuneConfig) -> None:
    assert config.base is not None
    metrics: list[ValidationFigures] = []
    losses: list[float] = []
    faster = dataclasses.replace(config, learning_rate=1e-2)
    listener = Listener(on_metrics=metrics.append, on_loss=lambda _, loss: losses.append(loss))
    finetune(faster, listener)
    assert [m["step"] for m in metrics] == [0, 5, 10, 15, 20]
    assert max(losses[-4:]) < min(losses[:4])
    before, after = weights(config.base), weights(config.out)
    changed = {
        k
        for k in after
        if after[k].shape != before[k].shape
        or not torch.equal(after[k], before[k].half().to(after[k].dtype))
    }
    assert {k.split(".")[0] for k in changed} == {"point_head", "class_head"}
    assert not {k for k in changed if k.startswith("point_head.trunk.0")}


def test_the_card_says_what_was_learnt_from_what(config: FinetuneConfig) -> None:
    result = finetune(config)
    card = read_card(config.out)
    assert card.parent == "tiny"
    assert [c["name"] for c in card.classes] == list(CLASSES)
    (store,) = card.training["stores"]
    assert store["store"] == "slide0.png.muse"
    assert len(store["fields"]) + len(store["fields_held_back"]) == 4
    assert store["fields_held_back"]
    assert card.training["settings"]["correction_weight"] == 2.0
    assert sum(card.training["nuclei"].values()) > 20
    assert len(card.training["data_sha256"]) == 64
    assert card.metrics["before"] == result.before
    assert card.metrics["after"] == result.after
    assert result.after is not None
    assert set(result.after["f_class"] or ()) == set(CLASSES)
    interval = result.after["interval_95"]["f_det"]
    assert interval is not None
    low, high = interval
    assert low <= result.after["f_det"] <= high
    assert str(config.out.parent) not in card.to_text()


def test_a_run_that_was_cut_off_goes_on_as_if_nothing_had_been(config: FinetuneConfig) -> None:
    unbroken = dataclasses.replace(config, out=config.out.with_name("u.safetensors"))
    finetune(unbroken)
    cut = cancel_after(10, config)
    assert cut.cancelled
    assert cut.path == config.out
    assert load_model(config.out)
    steps: list[int] = []
    finetune(config, Listener(on_loss=lambda step, _: steps.append(step)))
    assert steps == list(range(11, 21))
    torch.testing.assert_close(weights(config.out), weights(unbroken.out))


def test_more_corrections_make_it_another_run(config: FinetuneConfig) -> None:
    cancel_after(10, config)
    with AnnotationStore.open(config.stores[0].store) as store:
        store.add(100, 100, CLASSES[0])
    with pytest.raises(UserError, match="is of another run: it differs in data"):
        finetune(config)
    steps: list[int] = []
    anew = dataclasses.replace(config, resume=False)
    finetune(anew, Listener(on_loss=lambda step, _: steps.append(step)))
    assert steps[0] == 1


def test_another_base_or_a_class_more_makes_it_another_run(config: FinetuneConfig) -> None:
    def identity() -> str:
        return checkpoint_of(config, load_fields(config, None, MPP, 32).digest(), {}).identity

    seen = [identity()]
    assert identity() == seen[0]
    with AnnotationStore.open(config.stores[0].store) as store:
        store.extend_classes([NucleusClass("mitosis", "#112233")])
    seen.append(identity())
    assert config.base is not None
    base = load_model(config.base)
    torch.nn.init.ones_(base.class_head.out.bias)
    save_model(base, config.base, half=False)
    seen.append(identity())
    assert len(set(seen)) == 3


def test_cancelled_before_the_first_figures_nothing_is_written(config: FinetuneConfig) -> None:
    result = cancel_after(2, config)
    assert result.cancelled
    assert result.path is None
    assert not config.out.exists()


def test_a_single_field_trains_and_nothing_is_measured(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    store = reviewed_store(folder, [(20, 20, 240)])
    result = finetune(dataclasses.replace(config, stores=(StoreSource(store, mpp=MPP),)))
    assert result.path is not None
    assert (result.before, result.after) == (None, None)
    assert result.notes[0].endswith("is not measured; the next field you review will be.")
    tiles = write_points_folder(tmp_path / "tile", n_images=1)
    of_tiles = dataclasses.replace(config, stores=(), train=(LabelSet(tiles, MPP),))
    assert finetune(of_tiles).notes[0].endswith("is not measured; name tiles to validate on.")


def test_classes_that_are_known_start_from_what_is_known(config: FinetuneConfig) -> None:
    assert config.base is not None
    base = load_model(config.base)
    mapped = dataclasses.replace(
        config, class_map={"lymphocyte": "small", "tumor": "large"}, learning_rate=1e-9
    )
    finetune(mapped)
    # Without training, the mapped head is the base's with its rows swapped.
    torch.testing.assert_close(
        load_model(config.out).class_head.out.weight,
        base.class_head.out.weight[[1, 0]],
        atol=1e-3,
        rtol=1e-2,
    )


def test_a_points_folder_is_adapted_to_as_well(config: FinetuneConfig, tmp_path: Path) -> None:
    folder = write_points_folder(tmp_path / "folder", n_images=4)
    run = dataclasses.replace(config, stores=(), train=(LabelSet(folder, 0.25),))
    base = read_card(config.base or Path())
    data = load_fields(run, ClassScheme.from_json(base.classes), base.mpp, 32)
    assert len(data.train) + len(data.holdout) == 4
    assert data.holdout
    assert data.train[0].image.shape[:2] == (80, 80)
    assert finetune(run).after is not None


def test_a_field_without_nuclei_trains_as_background(config: FinetuneConfig) -> None:
    with AnnotationStore.open(config.stores[0].store) as store:
        first = store.nuclei((20, 20, 180, 180))
        store.delete(first["id"])
    base = read_card(config.base or Path())
    data = load_fields(config, ClassScheme.from_json(base.classes), base.mpp, 32)
    assert min(len(field.xy) for field in data.train) == 0
    result = finetune(config)
    assert result.path is not None
    assert result.steps_done == config.steps


def test_nuclei_in_held_out_images_alone_ask_for_more_images(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    folder = write_points_folder(tmp_path / "folder")
    val = LabelSet(write_points_folder(tmp_path / "val"), 0.25)
    for path in (folder / "points").iterdir():
        path.write_text("x,y,class\n")
    run = dataclasses.replace(config, stores=(), train=(LabelSet(folder, 0.25),), val=val)
    with pytest.raises(UserError, match=r"which only validate; add images\.$"):
        load_fields(run, None, 0.25, 32)


def test_what_is_given_twice_is_refused(config: FinetuneConfig, tmp_path: Path) -> None:
    folder = LabelSet(tmp_path / "folder", 0.25)
    again = LabelSet(tmp_path / "x" / ".." / "folder", 0.5)
    (tmp_path / "x").mkdir()
    with pytest.raises(UserError, match="folder is given twice to learn from"):
        dataclasses.replace(config, train=(folder, again))
    other = dataclasses.replace(again, names=("a",))
    assert dataclasses.replace(config, train=(folder, other)).train == (folder, other)
    with pytest.raises(UserError, match="is given twice to learn from"):
        dataclasses.replace(config, stores=config.stores * 2)


def test_unusable_runs_are_refused(config: FinetuneConfig) -> None:
    with pytest.raises(UserError, match="a model to start from"):
        dataclasses.replace(config, base=None)
    with pytest.raises(UserError, match="mode is 'fast'; it must be one of"):
        dataclasses.replace(config, mode="fast")  # type: ignore[arg-type]
    with AnnotationStore.open(config.stores[0].store) as store:
        for number in store.regions()["id"]:
            store.delete_region(number)
    with pytest.raises(UserError, match="Nothing is reviewed"):
        finetune(config)
    with AnnotationStore.open(config.stores[0].store) as store:
        store.add_region(square(0, 0, 40), reviewed=True)
    with pytest.raises(UserError, match="at least 10 are needed"):
        finetune(config)


def test_a_field_over_all_others_holds_them_back_with_it(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    other = store_beside(tmp_path / "slide0.png", "b.muse", [(0, 0, 480)])
    run = dataclasses.replace(config, stores=(*config.stores, StoreSource(other, mpp=MPP)))
    with pytest.raises(UserError, match="All annotated nuclei lie in holdout fields"):
        load_fields(run, None, MPP, 32)


def test_a_class_that_nobody_has_used_yet_is_left_out_of_the_figures(
    config: FinetuneConfig,
) -> None:
    with AnnotationStore.open(config.stores[0].store) as store:
        store.extend_classes([NucleusClass("mitosis", "#112233")])
    result = finetune(config)
    unused, new = [n for n in result.notes if "'mitosis'" in n]
    assert unused.startswith("Not in the reviewed fields: 'mitosis'.")
    assert new.startswith("New to the model: ")
    card = read_card(config.out)
    assert [c["name"] for c in card.classes] == [*CLASSES, "mitosis"]
    assert card.training["nuclei"]["mitosis"] == 0
    assert result.after is not None
    f_class = result.after["f_class"]
    assert f_class is not None
    assert set(f_class) == set(CLASSES)
    assert result.after["f_avg"] == pytest.approx(
        sum(value or 0.0 for value in f_class.values()) / 2
    )


@pytest.mark.slow
def test_a_real_model_learns_classes_new_to_it(muse_data: Path, tmp_path: Path) -> None:
    tile = read_points_folder(muse_data / "consep20x" / "train", 0.55)[0]
    slide = tmp_path / "tile.png"
    Image.fromarray(tile.image).save(slide)
    scheme = ClassScheme.from_names(sorted(set(tile.class_names)))
    path = tmp_path / "tile.png.muse"
    with AnnotationStore.create(path, identify_slide(slide), scheme) as store:
        store.insert(nucleus_table(tile.xy[:, 0], tile.xy[:, 1], list(tile.class_names)))
        for x, y in ((0, 0), (0, 255), (255, 0), (255, 255)):
            store.add_region(square(x, y, 245), reviewed=True)
    config = FinetuneConfig(
        train=(),
        stores=(StoreSource(path, mpp=0.55),),
        out=tmp_path / "out.safetensors",
        base=resolve_model(None),
        mode="adapt",
        steps=150,
        validate_every=50,
        learning_rate=5e-4,
        device="cpu",
    )
    result = finetune(config)
    assert result.before is not None
    assert result.after is not None
    # Only "stromal" has the same name among its classes.
    assert (result.after["f_avg"] or 0.0) > (result.before["f_avg"] or 0.0) + 0.2
