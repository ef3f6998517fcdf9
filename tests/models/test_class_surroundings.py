"""The recipe's last step: two class heads become one whose logits are the mean of theirs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from muse_core.errors import UserError
from muse_core.models.muse_model import MuseModel
from muse_core.models.surroundings import Surroundings, mean_around
from muse_core.nuclei import ClassScheme

from .conftest import tiny_card

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))

import class_surroundings as recipe
from label_sets import Prepared


@pytest.fixture(scope="module")
def first() -> MuseModel:
    torch.manual_seed(0)
    card = tiny_card(classes=ClassScheme.from_names(["lymphocyte", "stromal", "tumor"]).to_json())
    return MuseModel(card).eval()


@pytest.fixture(scope="module")
def second(first: MuseModel) -> recipe.SecondHead:
    torch.manual_seed(1)
    return recipe.SecondHead(first.backbone.out_channels).eval()


@pytest.fixture(scope="module")
def moments(first: MuseModel) -> list[recipe.Moments]:
    channels = first.backbone.out_channels
    return [(torch.randn(channels), torch.rand(channels) + 0.5) for _ in range(2)]


@torch.no_grad()
def test_what_lies_around_is_projected_as_the_second_head_learnt_it(
    first: MuseModel, second: recipe.SecondHead, moments: list[recipe.Moments]
) -> None:
    joined = recipe.joined(first, second, *moments)
    mean, spread = moments[1]
    means = mean_around(first(torch.rand(1, 3, 64, 96))[0], recipe.REACH_PX, 4)

    surroundings = joined.backbone.surroundings
    assert isinstance(surroundings, Surroundings)
    projected = surroundings.project(means)[0].flatten(1).T

    expected = second.project((means[0].flatten(1).T - mean) / spread)
    torch.testing.assert_close(projected, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_logits_of_both_heads_are_averaged(
    first: MuseModel, second: recipe.SecondHead, moments: list[recipe.Moments]
) -> None:
    joined = recipe.joined(first, second, *moments)
    channels, (mean, spread) = first.backbone.out_channels, moments[0]
    features = torch.randn(20, joined.backbone.out_channels)
    own, around = features[:, :channels], features[:, channels:]

    hidden = second.own((own - mean) / spread) + second.around(around)
    expected = 0.5 * first.class_head(own) + 0.5 * second.out(torch.nn.functional.gelu(hidden))
    torch.testing.assert_close(joined.class_head(features), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_detection_is_as_before(
    first: MuseModel, second: recipe.SecondHead, moments: list[recipe.Moments]
) -> None:
    joined = recipe.joined(first, second, *moments)
    image = torch.rand(1, 3, 64, 96)
    (_, old), (_, new) = first(image), joined(image)
    assert torch.equal(new.logit, old.logit)
    assert torch.equal(new.xy, old.xy)


def test_a_model_that_finds_nothing_gets_a_sentence(
    first: MuseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = recipe.Told(
        torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0).double()
    )
    monkeypatch.setattr(recipe, "_of_set", lambda *_: [nothing])
    with pytest.raises(UserError, match="more steps"):
        recipe.with_surroundings(first, Prepared(Path(), {}, Path()), 0)
