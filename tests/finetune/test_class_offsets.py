from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import detect_images
from muse_core.evaluate.points_folder import AnnotatedImage, read_points_folder
from muse_core.finetune.class_offsets import (
    LARGEST_OFFSET,
    WORTH_MOVING,
    best_class_offsets,
    class_logits,
    fit_class_offsets,
)
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import nucleus_table

from ..job_inputs import CLASSES, write_model, write_points_folder

NAMES = ("a", "b", "c")


def _found(true: np.ndarray, logits: np.ndarray) -> tuple[AnnotatedImage, pd.DataFrame]:
    """Nuclei far apart, each detected at its place."""
    xy = np.stack([np.arange(len(true)) * 50.0, np.zeros(len(true))], axis=1).astype(np.float32)
    names = tuple(NAMES[k] for k in true)
    image = AnnotatedImage("i", np.zeros((8, 8, 3), np.uint8), xy, names, 0.5)
    called = [NAMES[k] for k in logits.argmax(axis=1)]
    return image, nucleus_table(xy[:, 0], xy[:, 1], called, score=0.9, model="m")


def _f_avg(true: np.ndarray, logits: np.ndarray, offsets: np.ndarray) -> float:
    called = (logits + offsets).argmax(axis=1)
    return float(f1_score(true, called, labels=[0, 1, 2], average="macro", zero_division=0))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-1.5, 1.5))
def test_offsets_are_at_least_as_good_as_any_for_one_class(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 3, 40)
    logits = rng.normal(size=(40, 3)) + 1.5 * np.eye(3)[true] + [0, shift, 0]
    image, table = _found(true, logits)
    offsets = best_class_offsets([image], [table], [logits], NAMES)
    assert np.abs(offsets).max() <= LARGEST_OFFSET
    first_alone = [_f_avg(true, logits, np.array([o, 0, 0])) for o in np.arange(-1.5, 1.6, 0.25)]
    reached = _f_avg(true, logits, offsets)
    assert reached >= max(first_alone) - WORTH_MOVING
    if offsets.any():
        assert reached >= _f_avg(true, logits, np.zeros(3)) + WORTH_MOVING


def test_a_class_that_is_called_too_seldom_is_lifted() -> None:
    true = np.array([0] * 10 + [1] * 10 + [2] * 10)
    logits = 2.0 * np.eye(3)[true]
    logits[10:20] = [0.6, 0.0, -1.0]
    image, table = _found(true, logits)
    offsets = best_class_offsets([image], [table], [logits], NAMES)
    assert _f_avg(true, logits, offsets) == 1.0
    np.testing.assert_array_equal(offsets, [-0.75, 0, 0])


def test_classes_that_are_told_apart_are_left_alone() -> None:
    true = np.arange(30) % 3
    logits = 3.0 * np.eye(3)[true]
    image, table = _found(true, logits)
    assert not best_class_offsets([image], [table], [logits], NAMES).any()


@pytest.fixture
def model(tmp_path: Path) -> MuseModel:
    return load_model(write_model(tmp_path / "model.safetensors")).eval()


@pytest.fixture
def images(tmp_path: Path) -> tuple[AnnotatedImage, ...]:
    return read_points_folder(write_points_folder(tmp_path / "val"), 0.4)


def test_logits_are_those_by_which_nuclei_were_called(
    model: MuseModel, images: tuple[AnnotatedImage, ...]
) -> None:
    tables = detect_images(model, images, DetectConfig(device="cpu"))
    logits = class_logits(model, images, tables)
    assert sum(map(len, tables)) > 20
    agree = []
    for table, each in zip(tables, logits, strict=True):
        assert each.shape == (len(table), 2)
        agree.append(np.array(CLASSES)[each.argmax(axis=1)] == table["class_name"].to_numpy())
    # Detection computes in bfloat16, which decides near ties otherwise.
    assert np.concatenate(agree).mean() > 0.95


def test_offsets_become_part_of_the_class_head(
    model: MuseModel, images: tuple[AnnotatedImage, ...]
) -> None:
    with torch.no_grad():
        model.class_head.out.bias += torch.tensor([5.0, 0.0])
        model.class_head.out.weight *= 0
    before = model.class_head.out.bias.clone()
    offsets = fit_class_offsets(model, images)
    assert set(offsets) == set(CLASSES)
    change = torch.tensor([offsets[name] for name in CLASSES])
    torch.testing.assert_close(model.class_head.out.bias - before, change)


def test_a_model_of_other_classes_stays_as_it_is(model: MuseModel, tmp_path: Path) -> None:
    other = write_points_folder(tmp_path / "other", ("stranger", "tumor"))
    before = model.class_head.out.bias.clone()
    offsets = fit_class_offsets(model, read_points_folder(other, 0.5))
    assert not any(offsets.values())
    assert torch.equal(model.class_head.out.bias, before)


def test_images_without_a_detection_need_no_offsets(model: MuseModel) -> None:
    with torch.no_grad():
        for parameter in model.point_head.parameters():
            parameter.zero_()
    blank = AnnotatedImage(
        "blank", np.full((96, 96, 3), 255, np.uint8), np.zeros((0, 2), np.float32), (), 0.5
    )
    assert not any(fit_class_offsets(model, [blank]).values())
