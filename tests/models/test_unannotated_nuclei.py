"""Nuclei found only by an ensemble, marked as an option of the recipe of muse-small."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from muse_core.data.points_folder import read_points_folder
from muse_core.finetune import LabelSet
from muse_core.models.checkpoint import save_model
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme

from .conftest import tiny_card, write_noise_set

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))

import unannotated_nuclei as recipe

XY = np.array([[10.0, 20.0], [60.0, 40.0]])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    paths = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        names = ClassScheme.from_names(["lymphocyte", "stromal", "tumor"])
        path = tmp_path_factory.mktemp("ensemble") / f"{seed}.safetensors"
        save_model(MuseModel(tiny_card(classes=names.to_json())), path)
        paths.append(path)
    return paths


@pytest.fixture
def labels(tmp_path: Path) -> LabelSet:
    points = pd.DataFrame({"x": XY[:, 0], "y": XY[:, 1], "class": ["tumor", "stromal"]})
    return LabelSet(write_noise_set(tmp_path / "set", points), 0.5)


def test_what_all_models_see_and_nobody_annotated_is_marked(
    labels: LabelSet, models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Random weights: any score is accepted, and any position agrees.
    monkeypatch.setattr(recipe, "SURE_SCORE", 0.0)
    monkeypatch.setattr("taught_classes.AGREED_PX", np.inf)
    monkeypatch.setattr(recipe, "AGREED_PX", np.inf)

    (marked,) = recipe.without_doubtful_background([labels], models, tmp_path / "work")

    (image,) = read_points_folder(marked.folder, marked.mpp, marked.names)
    np.testing.assert_array_equal(image.xy[:2], XY)
    assert image.class_names[:2] == ("tumor", "stromal")
    assert set(image.class_names[2:]) == {recipe.DOUBTFUL}
    distance = np.linalg.norm(image.xy[2:, None] - XY, axis=2)
    # 3 um, less the rounding in a CSV.
    assert distance.min() > 6 - 0.01
    assert marked.doubtful_classes == {recipe.DOUBTFUL}
    assert marked.class_map is not None
    assert marked.class_map["tumor"] == ("tumor",)


def test_what_one_model_does_not_see_is_background(
    labels: LabelSet, models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "SURE_SCORE", 0.0)
    monkeypatch.setattr("taught_classes.AGREED_PX", np.inf)
    monkeypatch.setattr(recipe, "AGREED_PX", 0.0)

    (marked,) = recipe.without_doubtful_background([labels], models, tmp_path / "work")

    (image,) = read_points_folder(marked.folder, marked.mpp, marked.names)
    assert image.class_names == ("tumor", "stromal")


def test_sets_that_are_not_exhaustive_and_negatives_are_left_alone(
    labels: LabelSet, models: list[Path]
) -> None:
    partly = LabelSet(labels.folder, 0.5, exhaustive=False)
    negatives = LabelSet(labels.folder, 0.5, class_map={})

    sets = recipe.without_doubtful_background([partly, negatives], models, Path("nowhere"))

    assert sets == (partly, negatives)
