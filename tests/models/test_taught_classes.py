"""Ambiguous classes of label sets resolved by a teacher, as in the recipe of muse-small."""

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

import taught_classes as recipe

CLASS_MAP = {"tumor": ("tumor",), "others": ("lymphocyte", "stromal"), "nucleus": ("*",)}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that detects nuclei and is certain that all of them are stromal."""
    torch.manual_seed(0)
    card = tiny_card(classes=ClassScheme.from_names(["lymphocyte", "stromal", "tumor"]).to_json())
    model = MuseModel(card)
    last = [m for m in model.class_head.modules() if isinstance(m, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0, 4.0, 0.0]))
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_model(model, path)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> LabelSet:
    points = pd.DataFrame(
        {"x": [10.0, 40.0, 70.0], "y": [20.0, 30.0, 60.0], "class": ["tumor", "others", "nucleus"]}
    )
    return LabelSet(write_noise_set(tmp_path / "set", points), 0.5, class_map=CLASS_MAP)


@pytest.mark.parametrize("axes", recipe._FLIPS)
def test_points_flip_as_pixels_do(axes: tuple[int, ...]) -> None:
    image = torch.rand(1, 1, 20, 30)
    xy = np.array([[3.5, 17.5], [29.5, 0.5]])

    x, y = (recipe._flipped(xy, axes, (20, 30)) - 0.5).astype(int).T

    flipped = image.flip(axes)[0, 0]
    assert torch.equal(flipped[y, x], image[0, 0, [17, 0], [3, 29]])


def test_a_teacher_says_only_what_it_is_sure_of_and_what_is_open() -> None:
    assert recipe._name(np.array([0.1, 0.2, 0.7]), "nucleus") == "taught tumor"
    assert recipe._name(np.array([0.2, 0.2, 0.6]), "nucleus") == "nucleus"
    # Not ambiguous: only one class is left.
    assert recipe._name(np.array([0.0, 0.0, 0.01]), "tumor") == "tumor"
    # Of the two candidates one is by far the likelier.
    assert recipe._name(np.array([0.09, 0.01, 0.0]), "others") == "taught lymphocyte"


def test_open_classes_are_told_and_given_ones_stay(
    labels: LabelSet, teacher: Path, tmp_path: Path
) -> None:
    (taught,) = recipe.taught_sets([labels], teacher, tmp_path / "work")

    assert taught.class_map is not None
    (image,) = read_points_folder(taught.folder, taught.mpp, taught.names)
    np.testing.assert_array_equal(image.xy, [[10, 20], [40, 30], [70, 60]])
    assert image.class_names == ("tumor", "taught stromal", "taught stromal")
    assert taught.class_map["taught stromal"] == ("stromal",)
    assert set(image.class_names) <= set(taught.class_map)


def test_what_is_there_already_is_kept(labels: LabelSet, teacher: Path, tmp_path: Path) -> None:
    (taught,) = recipe.taught_sets([labels], teacher, tmp_path / "work")
    points = taught.folder / "points" / "a.csv"
    points.write_text("x,y,class\n1,2,tumor\n")

    (again,) = recipe.taught_sets([labels], teacher, tmp_path / "work")

    assert again == taught
    assert points.read_text() == "x,y,class\n1,2,tumor\n"


def test_sets_without_open_classes_are_left_alone(labels: LabelSet, teacher: Path) -> None:
    closed = LabelSet(labels.folder, 0.5, class_map={"tumor": ("tumor",)})
    own = LabelSet(labels.folder, 0.5)

    assert recipe.taught_sets([closed, own], teacher, Path("nowhere")) == (closed, own)


def test_nuclei_that_nobody_annotated_are_added_only_to_sets_that_are_not_exhaustive(
    labels: LabelSet, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Noise without tissue: flips hardly agree, so any score is accepted here.
    monkeypatch.setattr(recipe, "FOUND_SCORE", 0.0)
    monkeypatch.setattr(recipe, "AGREED_PX", np.inf)
    partly = LabelSet(labels.folder, 0.5, class_map=CLASS_MAP, exhaustive=False)

    (taught,) = recipe.taught_sets([partly], teacher, tmp_path / "work")

    (image,) = read_points_folder(taught.folder, taught.mpp)
    added = image.xy[3:]
    assert len(added)
    assert set(image.class_names[3:]) == {"taught stromal"}
    assert recipe.distance_to_nearest(added.astype(float), image.xy[:3].astype(float)).min() >= 7.99
    height, width = image.image.shape[:2]
    assert (added >= 0).all()
    assert (added <= [width, height]).all()
