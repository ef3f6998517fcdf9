from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from muse_core.errors import UserError
from muse_core.finetune import FinetuneConfig, LabelSet, Listener, UnlabeledSource, finetune
from muse_core.finetune.config import ConsistencyConfig, LossConfig, ViewConfig
from muse_core.finetune.data.crop_dataset import CropDataset, SourceImage, collate
from muse_core.finetune.data.full_data import load_full_data
from muse_core.finetune.full.step import FullLearner
from muse_core.finetune.result import ValidationFigures
from muse_core.finetune.state import checkpoint_of
from muse_core.models.card import read_card
from muse_core.models.checkpoint import load_model, save_model
from muse_core.models.config import ModelConfig
from muse_core.models.heads import at_anchors

from ...job_inputs import write_points_folder
from ..annotated import (
    CLASSES,
    MPP,
    SEMI,
    disc_slide,
    reviewed_store,
    store_run,
    watched_logits,
)

SQUARES = [(20, 20, 160), (260, 20, 160), (20, 260, 160), (260, 260, 160)]


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    return store_run(
        tmp_path,
        reviewed_store(tmp_path, SQUARES),
        steps=6,
        batch=2,
        validate_every=2,
        backbone_rate=0.1,
        views=ViewConfig(crop_px=128),
        consistency=SEMI,
    )


def test_samples_show_the_field_at_random_places_and_what_lies_around(
    config: FinetuneConfig,
) -> None:
    data = load_full_data(config, MPP)
    dataset = CropDataset(data.training.sources, config.views, MPP, length=40, seed=0)
    samples = [dataset[i] for i in range(len(dataset))]
    shares = np.array([float(s.known.float().mean()) for s in samples])
    assert (shares > 0).mean() > 0.9
    assert shares.std() > 0.05
    assert sum(float(s.free.float().mean()) > 0.1 for s in samples) > 20
    for sample in samples:
        assert not (sample.known & sample.free).any()
        x, y = sample.xy.long().T
        # Rotated pixels are sampled at their centres, so a nucleus may be a pixel off.
        assert sample.known[y, x].float().mean() > 0.9 or len(x) < 5
    centres = [np.argwhere(s.known.numpy()).mean(axis=0) for s in samples if s.known.any()]
    assert np.std(centres, axis=0).min() > 10


def test_the_holdout_takes_no_part_at_all(config: FinetuneConfig) -> None:
    data = load_full_data(config, MPP)
    assert data.fields is not None
    held = sum(f.known.sum() for f in data.fields.holdout)
    assert held > 0
    for field, source in zip(data.fields.train, data.training.sources, strict=True):
        assert isinstance(source, SourceImage)
        assert source.free is not None
        assert field.holdout_mask.any()
        assert not (source.free & field.holdout_mask).any()


def test_a_proposal_in_unlabelled_tissue_gets_exactly_no_supervised_gradient(
    config: FinetuneConfig,
) -> None:
    data = load_full_data(config, MPP)
    dataset = CropDataset(data.training.sources, config.views, MPP, length=4, seed=0)
    batch = collate([dataset[i] for i in range(len(dataset))])
    assert config.base is not None
    model = load_model(config.base)
    head = ModelConfig.from_json(model.card.architecture).head
    learner = FullLearner(model, data.training, head)
    kept = watched_logits(model)
    losses = LossConfig()
    learner.losses(batch, losses, torch.Generator().manual_seed(0)).total.backward()
    gradient, known = kept[0].grad, at_anchors(batch.known)
    assert gradient is not None
    assert (gradient[known] != 0).all()
    # Outside, only anchors matched with a nucleus at the field's edge have one.
    rows = (torch.arange(32) + 0.5) * 4
    anchors = torch.stack(torch.meshgrid(rows, rows, indexing="xy"), dim=-1).view(-1, 2)
    for b, points in enumerate(batch.xy):
        if len(points):
            far = torch.cdist(anchors, points).min(dim=1).values > losses.match_px
        else:
            far = torch.ones(len(anchors), dtype=torch.bool)
        assert (gradient[b][~known[b] & far] == 0).all()
        assert (~known[b] & far).any()


def test_learns_from_fields_and_the_tissue_around(config: FinetuneConfig) -> None:
    metrics: list[ValidationFigures] = []
    result = finetune(config, Listener(on_metrics=metrics.append))
    assert [m["step"] for m in metrics] == [0, 2, 4, 6]
    card = read_card(config.out)
    assert card.parent == "tiny"
    assert [c["name"] for c in card.classes] == list(CLASSES)
    assert card.metrics["before"] == result.before
    assert card.metrics["after"] == result.after
    assert result.after is not None
    assert card.training["settings"]["consistency"]["weight"] == 1.0
    assert card.training["stores"][0]["fields_held_back"]
    assert str(config.out.parent) not in card.to_text()


def test_unlabelled_tissue_changes_what_is_learnt(config: FinetuneConfig) -> None:
    alone = dataclasses.replace(
        config,
        out=config.out.with_name("alone.safetensors"),
        consistency=ConsistencyConfig(weight=0.0),
    )
    finetune(config)
    finetune(alone)
    key = "point_head.out.weight"
    assert not torch.equal(
        load_model(config.out).state_dict()[key], load_model(alone.out).state_dict()[key]
    )


def test_a_cancelled_run_goes_on_as_if_unbroken(config: FinetuneConfig) -> None:
    unbroken = dataclasses.replace(config, out=config.out.with_name("u.safetensors"))
    finetune(unbroken)
    made: list[int] = []
    cut = finetune(
        config,
        Listener(should_cancel=lambda: len(made) == 4, on_loss=lambda step, _: made.append(step)),
    )
    assert (cut.cancelled, cut.path) == (True, config.out)
    finetune(config, Listener(on_loss=lambda step, _: made.append(step)))
    assert made == [1, 2, 3, 4, 5, 6]
    torch.testing.assert_close(
        load_model(config.out).state_dict(), load_model(unbroken.out).state_dict()
    )


def test_the_backbone_learns_more_slowly(config: FinetuneConfig) -> None:
    still = dataclasses.replace(config, backbone_rate=0.0)
    finetune(still)
    assert config.base is not None
    before, after = load_model(config.base), load_model(config.out)
    for name, value in after.backbone.named_parameters():
        torch.testing.assert_close(
            value, dict(before.backbone.named_parameters())[name].half().float(), msg=name
        )
    assert not torch.equal(after.class_head.hidden.weight, before.class_head.hidden.weight.half())


def test_slides_and_folders_without_annotations_take_part(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    slide = tmp_path / "more.png"
    disc_slide(slide, side_px=600, seed=3)
    folder = tmp_path / "tiles"
    folder.mkdir()
    Image.new("RGB", (100, 100), (200, 120, 160)).save(folder / "a.png")
    more = dataclasses.replace(
        config, unlabeled=(UnlabeledSource(slide, MPP), UnlabeledSource(folder, MPP))
    )
    data = load_full_data(more, MPP)
    extra = [
        s
        for s in data.training.sources
        if isinstance(s, SourceImage) and s.known is not None and not s.known.any()
    ]
    assert len(extra) == SEMI.regions + 1
    total = sum(s.weight for s in data.training.sources)
    assert sum(s.weight for s in extra) / total == pytest.approx(SEMI.unlabeled_share)
    assert finetune(more).path is not None
    with pytest.raises(UserError, match="takes part only in the mode full"):
        dataclasses.replace(more, consistency=ConsistencyConfig())


def test_a_checkpoint_of_other_data_is_not_resumed(config: FinetuneConfig, tmp_path: Path) -> None:
    train, val, tiles = (write_points_folder(tmp_path / n) for n in ("train", "val", "tiles"))
    run = dataclasses.replace(
        config,
        stores=(),
        train=(LabelSet(train, MPP),),
        val=LabelSet(val, MPP),
        unlabeled=(UnlabeledSource(tiles, MPP),),
    )

    def identity() -> str:
        return checkpoint_of(run, load_full_data(run, MPP).digest(), {}).identity

    seen = [identity()]
    assert identity() == seen[0]
    for path in (train / "images" / "1.png", val / "images" / "0.png", tiles / "images" / "1.png"):
        pixels = np.array(Image.open(path))
        pixels[70, 70] ^= 1
        Image.fromarray(pixels).save(path)
        seen.append(identity())
    for path in (train / "points" / "0.csv", val / "points" / "1.csv"):
        first, *rest = path.read_text().splitlines()
        path.write_text("\n".join([first, *(row.replace("tumor", "lymphocyte") for row in rest)]))
        seen.append(identity())
    assert run.base is not None
    base = load_model(run.base)
    torch.nn.init.zeros_(base.class_head.out.bias)
    save_model(base, run.base, half=False)
    seen.append(identity())
    assert len(set(seen)) == 7


def test_a_points_folder_learns_from_unlabelled_tiles_too(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    folder = write_points_folder(tmp_path / "folder")
    run = dataclasses.replace(
        config,
        stores=(),
        train=(LabelSet(folder, MPP),),
        val=LabelSet(folder, MPP),
        unlabeled=(UnlabeledSource(folder, MPP),),
    )
    result = finetune(run)
    assert result.metrics["f_det"] is not None
    assert result.before is None
