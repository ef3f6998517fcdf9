from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from muse_core.errors import UserError
from muse_core.finetune.config import ConsistencyConfig
from muse_core.finetune.losses.consistency import (
    ClassThresholds,
    PseudoLabels,
    consistency_loss,
    pseudo_labels,
    ramp,
)
from muse_core.models.checkpoint import load_model
from muse_core.models.duplicates import DUPLICATE_RADIUS_UM
from muse_core.models.heads import Proposals
from muse_core.models.muse_model import MuseModel

from ...job_inputs import write_model

CONFIG = ConsistencyConfig(
    weight=2.0, nucleus_confidence=0.6, background_confidence=0.3, class_confidence=0.8
)


@pytest.fixture
def teacher(tmp_path: Path) -> MuseModel:
    return load_model(write_model(tmp_path / "m.safetensors"))


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def everywhere(image: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(image), 16 * 16, dtype=torch.bool)


def test_pseudo_labels_are_the_confident_proposals_without_duplicates(
    teacher: MuseModel, image: torch.Tensor
) -> None:
    with torch.no_grad():
        proposals = teacher(image)[1]
        scores = proposals.logit.sigmoid()
    middle = float(scores.median())
    config = ConsistencyConfig(
        nucleus_confidence=middle, background_confidence=float(scores.quantile(0.2))
    )
    free = everywhere(image)
    free[:, :40] = False
    found = pseudo_labels(
        teacher, image, free, ClassThresholds(torch.tensor([1, 1]), config), config
    )
    assert len(found.xy) == int(found.nucleus.sum()) > 0
    assert not (found.nucleus & ~free).any()
    assert not (found.background & ~free).any()
    assert (scores[found.nucleus] >= middle).all()
    np.testing.assert_array_equal(
        found.background.numpy(), ((scores <= config.background_confidence) & free).numpy()
    )
    radius = DUPLICATE_RADIUS_UM / teacher.card.mpp
    for b in range(2):
        xy = found.xy[found.image == b]
        distance = torch.cdist(xy, xy).fill_diagonal_(math.inf)
        assert (distance > radius).all()
        # By brute force: everything left out has a better one nearby.
        left_out = ((scores[b] >= middle) & free[b] & ~found.nucleus[b]).nonzero()[:, 0]
        for i in left_out:
            near = (proposals.xy[b] - proposals.xy[b, i]).norm(dim=1) <= radius
            assert (scores[b][near & found.nucleus[b]] >= scores[b, i]).any()


def test_what_the_teacher_is_not_sure_of_has_exactly_no_gradient() -> None:
    logit = torch.randn(1, 6, requires_grad=True)
    xy = torch.rand(1, 6, 2, requires_grad=True)
    class_logits = torch.randn(2, 3, requires_grad=True)
    nucleus = torch.tensor([[True, False, False, True, False, False]])
    background = torch.tensor([[False, True, False, False, False, False]])
    pseudo = PseudoLabels(
        nucleus,
        background,
        torch.tensor([0, 0]),
        torch.tensor([0, 3]),
        torch.rand(2, 2),
        torch.tensor([1, 2]),
        torch.tensor([True, False]),
    )
    proposals = Proposals(torch.zeros(6, 2), xy, logit)
    consistency_loss(proposals, class_logits, pseudo, torch.ones(3), 0.5).backward()
    assert logit.grad is not None
    assert xy.grad is not None
    assert class_logits.grad is not None
    assert ((logit.grad != 0) == (nucleus | background)).all()
    assert ((xy.grad != 0).any(dim=2) == nucleus).all()
    assert (class_logits.grad[0] != 0).all()
    assert (class_logits.grad[1] == 0).all()


def test_the_loss_by_hand() -> None:
    pseudo = PseudoLabels(
        torch.tensor([[True, False, False]]),
        torch.tensor([[False, True, False]]),
        torch.tensor([0]),
        torch.tensor([0]),
        torch.tensor([[4.0, 0.0]]),
        torch.tensor([1]),
        torch.tensor([True]),
    )
    proposals = Proposals(
        torch.zeros(3, 2), torch.zeros(1, 3, 2), torch.tensor([[0.0, math.log(3.0), 9.0]])
    )
    loss = consistency_loss(
        proposals, torch.tensor([[0.0, math.log(3.0)]]), pseudo, torch.ones(2), 0.5
    )
    nucleus = math.log(2) + 0.5 * math.log(4)
    regression = (1.0 + 0.0) / 2
    classes = math.log(4 / 3)
    assert loss.item() == pytest.approx(nucleus + regression + classes, rel=1e-6)


def test_no_pseudo_label_no_loss() -> None:
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    none = torch.zeros(0, dtype=torch.long)
    pseudo = PseudoLabels(nothing, nothing, none, none, torch.zeros(0, 2), none, none.bool())
    logit = torch.randn(1, 4, requires_grad=True)
    proposals = Proposals(torch.zeros(4, 2), torch.zeros(1, 4, 2), logit)
    loss = consistency_loss(proposals, torch.zeros(0, 2), pseudo, torch.ones(2), 0.5)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logit.grad is not None
    assert (logit.grad == 0).all()


def test_background_weighs_no_more_than_beside_as_many_nuclei_as_tissue_has() -> None:
    n = 640
    pseudo = PseudoLabels(
        torch.arange(n)[None] < 2,
        torch.arange(n)[None] >= 2,
        torch.tensor([0, 0]),
        torch.tensor([0, 1]),
        torch.zeros(2, 2),
        torch.tensor([0, 0]),
        torch.tensor([False, False]),
    )
    proposals = Proposals(torch.zeros(n, 2), torch.zeros(1, n, 2), torch.zeros(1, n))
    loss = consistency_loss(proposals, torch.zeros(2, 2), pseudo, torch.ones(2), 0.5)
    # Two nuclei, while this much background goes with 638 / 64, nearly ten.
    assert loss.item() == pytest.approx(math.log(2) * (2 + 0.5 * 638) / (638 / 64), rel=1e-6)


def test_a_class_the_teacher_is_less_sure_of_is_asked_less() -> None:
    config = ConsistencyConfig(momentum=0.0, class_confidence=0.8, class_alignment=1.0)
    thresholds = ClassThresholds(torch.tensor([1, 1, 1]), config)
    torch.testing.assert_close(thresholds.thresholds, torch.full((3,), 0.8))
    probs = torch.tensor([[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.2, 0.6, 0.2]])
    thresholds.update(probs)
    # Means of the maxima: class 0 (0.9 + 0.7) / 2, class 1 0.6; class 2 did not occur.
    expected = torch.tensor([0.8 * 0.8, 0.8 * 0.6, 0.8]).clamp_min(0.5)
    torch.testing.assert_close(thresholds.thresholds, expected)


def test_classes_become_about_as_frequent_as_they_are_annotated() -> None:
    config = ConsistencyConfig(momentum=0.0, class_alignment=2.0)
    thresholds = ClassThresholds(torch.tensor([60, 40, 0]), config)
    probs = torch.tensor([[0.5, 0.2, 0.3]])
    torch.testing.assert_close(thresholds.align(probs), torch.tensor([[0.5, 0.2, 0.3]]))
    thresholds.update(torch.tensor([[0.8, 0.1, 0.1]]))
    # Factors 0.6 / 0.8 and, instead of 0.4 / 0.1, 2; none for the class without annotations.
    by_hand = torch.tensor([[0.375, 0.4, 0.3]]) / 1.075
    torch.testing.assert_close(thresholds.align(probs), by_hand)


def test_a_fair_teacher_is_left_as_it_is() -> None:
    thresholds = ClassThresholds(torch.tensor([30, 10]), ConsistencyConfig())
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        first = 0.5 + 0.5 * torch.rand(64, 1, generator=generator)
        thresholds.update(torch.cat([first, 1 - first], dim=1))
    probs = torch.tensor([[0.9, 0.1]])
    torch.testing.assert_close(thresholds.align(probs), probs, atol=0.01, rtol=0)


def test_the_weight_rises_and_stays() -> None:
    config = ConsistencyConfig(weight=2.0, burn_in_share=0.0, ramp_share=0.5)
    weights = [ramp(step, config, 100) for step in range(101)]
    assert weights[0] == pytest.approx(2 * math.exp(-5))
    assert weights == sorted(weights)
    assert weights[50:] == [2.0] * 51
    assert ramp(5, ConsistencyConfig(weight=0.0), 10) == 0.0


def test_the_teacher_is_not_asked_before_it_has_learned_from_labels() -> None:
    config = ConsistencyConfig(weight=2.0, burn_in_share=0.2, ramp_share=0.3)
    weights = [ramp(step, config, 100) for step in range(101)]
    assert weights[:20] == [0.0] * 20
    assert weights[20] == pytest.approx(2 * math.exp(-5))
    assert weights[49] < weights[50] == weights[100] == 2.0


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        ConsistencyConfig(nucleus_confidence=1.5)
    with pytest.raises(UserError, match="at least 1"):
        ConsistencyConfig(class_alignment=0.5)
    with pytest.raises(UserError, match="must be below"):
        ConsistencyConfig(background_confidence=0.8)
