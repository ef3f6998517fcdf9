from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from muse_core.errors import UserError
from muse_core.finetune import FinetuneConfig, Listener, StoreSource, UnlabeledSource, finetune
from muse_core.finetune.config import LossConfig, ViewConfig
from muse_core.finetune.data.crop_dataset import CropDataset, collate
from muse_core.finetune.data.full_data import FullData, load_full_data
from muse_core.finetune.data.slide_tissue import SlideTissue, corners_clear_of, tissue_of_stores
from muse_core.finetune.data.stores import StoreContents, read_stores
from muse_core.finetune.data.unlabeled import read_unlabeled
from muse_core.finetune.full.step import FullLearner
from muse_core.models.card import read_card
from muse_core.models.checkpoint import load_model
from muse_core.models.config import ModelConfig
from muse_core.slides import ImageChoice, Region

from ...damaged_slide import write_damaged
from ...job_inputs import write_slide
from ..annotated import MPP, SEMI, reviewed_store, store_run

CROP_PX = 64
SIDE_PX = 800
SQUARES = [(20, 20, 160), (620, 20, 160), (20, 620, 160), (620, 620, 160)]
Box = tuple[float, float, float, float]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return reviewed_store(tmp_path, SQUARES, SIDE_PX)


@pytest.fixture
def contents(store: Path) -> tuple[StoreContents, ...]:
    return read_stores([StoreSource(store, mpp=MPP)])


@pytest.fixture
def config(store: Path, tmp_path: Path) -> FinetuneConfig:
    return store_run(
        tmp_path,
        store,
        steps=4,
        batch=2,
        validate_every=2,
        views=ViewConfig(crop_px=CROP_PX),
        consistency=dataclasses.replace(SEMI, unlabeled_share=0.6),
    )


def gap(a: Box, b: Box) -> float:
    """Distance between two rectangles x0, y0, x1, y1."""
    across = max(a[0] - b[2], b[0] - a[2], 0.0)
    down = max(a[1] - b[3], b[1] - a[3], 0.0)
    return float(np.hypot(across, down))


def square_at(corner: Sequence[float], size: tuple[float, float]) -> Box:
    return (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])


def own(data: FullData) -> SlideTissue:
    (found,) = [s for s in data.training.sources if isinstance(s, SlideTissue)]
    return found


# Quarters are exact, so that brute force and shapely agree on touching.
places = st.integers(0, 1200).map(lambda quarters: quarters / 4)
sides = st.integers(1, 400).map(lambda quarters: quarters / 4)
boxes = st.lists(
    st.tuples(places, places, sides, sides).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])),
    max_size=4,
)


@given(
    trained=boxes, held=boxes, side=st.sampled_from([20, 64, 300]), margin=st.sampled_from([8, 32])
)
def test_squares_are_all_those_clear_of_what_is_reviewed(
    trained: list[Box], held: list[Box], side: int, margin: float
) -> None:
    size, stride = (side, min(side, 200)), 50
    corners = corners_clear_of(
        Region(0, 0, 300, 200),
        size,
        stride,
        shapely.union_all([shapely.box(*b) for b in trained + held]),
        shapely.union_all([shapely.box(*b) for b in held]),
        margin,
    )
    found = {rounded(c) for c in corners.tolist()}
    lines = [
        [room * i / max(steps, 1) for i in range(steps + 1)]
        for room in (300 - size[0], 200 - size[1])
        for steps in (-(-room // stride),)
    ]
    expected = set()
    for corner in itertools.product(*lines):
        square = square_at(corner, size)
        if all(gap(square, b) >= margin for b in held) and all(gap(square, b) > 0 for b in trained):
            expected.add(rounded(corner))
    # Squares whose distance is the margin to the last bit may go either way.
    doubtful = {c for c in found ^ expected if is_borderline(c, size, held, margin)}
    assert found - doubtful == expected - doubtful


def rounded(corner: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(v, 6) for v in corner)


def is_borderline(
    corner: tuple[float, ...], size: tuple[float, float], held: list[Box], margin: float
) -> bool:
    square = square_at(corner, size)
    return any(abs(gap(square, b) - margin) < 1e-5 for b in held)


def test_squares_of_a_store_keep_half_a_sample_from_the_holdout(
    contents: tuple[StoreContents, ...],
) -> None:
    (found,) = tissue_of_stores(contents, MPP, CROP_PX, whole_slides=True)
    assert len(found.corners) > 20
    assert found.size == (2 * CROP_PX, 2 * CROP_PX)
    assert {f.holdout for f in contents[0].fields} == {True, False}
    for corner in found.corners:
        square = square_at(corner, found.size)
        assert min(square[:2]) >= 0
        assert max(square[2:]) <= SIDE_PX
        for field in contents[0].fields:
            # 64 px of context are read around the holdout.
            assert gap(square, field.area.bounds) >= (CROP_PX if field.holdout else 1e-6)


def test_of_two_stores_of_a_slide_each_keeps_clear_of_the_others_fields(
    contents: tuple[StoreContents, ...],
) -> None:
    content = contents[0]
    parts = [dataclasses.replace(content, fields=fields) for fields in (content.fields, ())]
    (expected,) = tissue_of_stores(contents, MPP, CROP_PX, whole_slides=True)
    for order in (parts, parts[::-1]):
        (found,) = tissue_of_stores(order, MPP, CROP_PX, whole_slides=True)
        assert found.digest() == expected.digest()


def test_samples_show_no_pixel_of_what_is_reviewed_nor_near_the_holdout(
    contents: tuple[StoreContents, ...],
) -> None:
    pixels = np.array(Image.open(contents[0].slide))
    assert pixels[..., 1].min() == 40
    for field in contents[0].fields:
        grow = CROP_PX // 2 if field.holdout else 0
        x0, y0, x1, y1 = (int(v) for v in field.area.bounds)
        # No tissue of this slide is as purple.
        pixels[max(y0 - grow, 0) : y1 + grow, max(x0 - grow, 0) : x1 + grow, 1] = 0
    Image.fromarray(pixels).save(contents[0].slide)
    (found,) = tissue_of_stores(contents, MPP, CROP_PX, whole_slides=True)
    dataset = CropDataset([found], ViewConfig(crop_px=CROP_PX), MPP, length=60, seed=0)
    assert min(float(dataset[i].image[1].min()) for i in range(60)) > 39 / 255


def test_the_area_is_that_of_the_squares_and_the_rims_without_what_is_reviewed(
    contents: tuple[StoreContents, ...],
) -> None:
    for whole in (True, False):
        (found,) = tissue_of_stores(contents, MPP, CROP_PX, whole_slides=whole)
        taken = np.zeros((SIDE_PX, SIDE_PX), dtype=bool)
        squares = [square_at(corner, found.size) for corner in found.corners]
        for field in contents[0].fields:
            if not field.holdout:
                x0, y0, x1, y1 = field.area.bounds
                squares.append((x0 - CROP_PX, y0 - CROP_PX, x1 + CROP_PX, y1 + CROP_PX))
        for x0, y0, x1, y1 in squares:
            taken[int(max(y0, 0)) : int(y1), int(max(x0, 0)) : int(x1)] = True
        for x, y, side in SQUARES:
            taken[y : y + side, x : x + side] = False
        # The whole slide is tissue; counted are the 64 x 64 pixels of its mask.
        wide = SIDE_PX / 64
        centres = ((np.arange(64) + 0.5) * wide).astype(int)
        area_px = taken[np.ix_(centres, centres)].sum() * wide**2
        assert found.mm2 == pytest.approx(area_px * MPP**2 / 1e6, rel=0.01)
        assert bool(len(found.corners)) == whole


def test_nothing_supervised_comes_from_it(config: FinetuneConfig) -> None:
    data = load_full_data(config, MPP)
    dataset = CropDataset([own(data)], config.views, MPP, length=3, seed=0)
    batch = collate([dataset[i] for i in range(len(dataset))])
    assert not batch.known.any()
    assert batch.free.float().mean() > 0.9
    assert sum(len(points) for points in batch.xy) == 0
    assert config.base is not None
    model = load_model(config.base)
    head = ModelConfig.from_json(model.card.architecture).head
    learner = FullLearner(model, data.training, head)
    losses = learner.losses(batch, LossConfig(), torch.Generator().manual_seed(0))
    losses.total.backward()
    assert losses.total.item() == 0
    gradients = [p.grad for p in learner.parameters() if p.grad is not None]
    assert gradients
    assert not any(gradient.any() for gradient in gradients)


def test_the_same_seed_draws_the_same_samples(config: FinetuneConfig) -> None:
    first, second = load_full_data(config, MPP), load_full_data(config, MPP)
    assert first.digest() == second.digest()
    drawn = [
        [CropDataset([own(d)], config.views, MPP, 4, seed)[i].image for i in range(4)]
        for d, seed in ((first, 0), (second, 0), (second, 1))
    ]
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(drawn[0], drawn[2], strict=True))


def test_a_share_of_the_samples_is_drawn_from_it_unless_it_is_turned_off(
    config: FinetuneConfig,
) -> None:
    data = load_full_data(config, MPP)
    total = sum(s.weight for s in data.training.sources)
    assert own(data).weight / total == pytest.approx(0.6)
    for change in ({"own_slides": False}, {"unlabeled_share": 0.0}, {"weight": 0.0}):
        without = dataclasses.replace(
            config, consistency=dataclasses.replace(config.consistency, **change)
        )
        off = load_full_data(without, MPP)
        assert all(s.labelled for s in off.training.sources)
        assert off.digest() != data.digest()
        assert sum(s.mm2 for s in off.slides) < sum(s.mm2 for s in data.slides)


def test_a_run_records_it_and_goes_on_as_if_unbroken(config: FinetuneConfig) -> None:
    unbroken = dataclasses.replace(config, out=config.out.with_name("u.safetensors"))
    result = finetune(unbroken)
    made: list[int] = []
    finetune(
        config,
        Listener(should_cancel=lambda: len(made) == 2, on_loss=lambda step, _: made.append(step)),
    )
    finetune(config, Listener(on_loss=lambda step, _: made.append(step)))
    assert made == [1, 2, 3, 4]
    torch.testing.assert_close(
        load_model(config.out).state_dict(), load_model(unbroken.out).state_dict(), rtol=0, atol=0
    )
    card = read_card(config.out)
    (recorded,) = card.training["unlabelled_tissue"]
    assert recorded["places"] > 20
    assert 0.05 < recorded["mm2"] < 0.16
    assert card.training["settings"]["consistency"]["own_slides"] is True
    assert card.training["n_images"] == len(card.training["stores"][0]["fields"])
    assert result.data == {k: card.training[k] for k in result.data}
    assert any("mm² that nobody has reviewed took part, on" in note for note in result.notes)


def test_a_slide_without_other_tissue_teaches_by_its_field_alone(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    (folder := tmp_path / "whole").mkdir()
    store = reviewed_store(folder, [(0, 0, 240)], 240, seed=1)
    run = dataclasses.replace(config, stores=(StoreSource(store, mpp=MPP),), steps=2)
    data = load_full_data(run, MPP)
    assert [s.mm2 for s in data.slides] == [0.0]
    assert all(s.labelled for s in data.training.sources)
    result = finetune(run)
    assert result.path is not None
    assert not any("nobody has reviewed" in note for note in result.notes)


def test_where_nothing_of_a_square_can_be_read_another_is_drawn(tmp_path: Path) -> None:
    slide = tmp_path / "d.tif"
    lost = write_damaged(slide, write_slide(tmp_path / "whole.png"), 350, 250, MPP)
    corners = np.array([[lost.x + 10, lost.y + 10], [100.0, 100.0]])
    tissue = SlideTissue(slide, ImageChoice(), "f", MPP, MPP, corners, (40.0, 40.0), 1.0)
    images = [tissue.draw(np.random.default_rng(seed)).image for seed in range(8)]
    # Nothing on this slide is white.
    assert all((image != 255).any(axis=2).all() for image in images)
    with pytest.raises(UserError, match=r"d\.tif is damaged"):
        dataclasses.replace(tissue, corners=corners[:1]).draw(np.random.default_rng(0))


def test_slides_of_stores_are_left_out_of_other_tissue(
    config: FinetuneConfig, store: Path, tmp_path: Path
) -> None:
    slide = store.with_name("slide0.png")
    (folder := tmp_path / "slides").mkdir()
    shutil.copy(slide, folder / "renamed.png")
    for path in (slide, folder):
        named = dataclasses.replace(config, unlabeled=(UnlabeledSource(path, MPP),))
        data = load_full_data(named, MPP)
        assert [s.labelled for s in data.training.sources].count(False) == 1
        assert own(data).corners.size
    assert len(read_unlabeled([UnlabeledSource(slide, MPP)], MPP, 128, 3, seed=0)) == 3
    for name in ("._renamed.png", "Thumbs.db", ".DS_Store"):
        (folder / name).write_bytes(b"nothing of the kind")
    assert len(read_unlabeled([UnlabeledSource(folder, MPP)], MPP, 128, 3, seed=0)) == 3
