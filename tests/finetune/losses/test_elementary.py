from __future__ import annotations

import math

import pytest
import torch

from muse_core.finetune.losses.elementary import (
    class_loss,
    class_weights,
    nucleus_loss,
    regression_loss,
)


def test_nucleus_loss_by_hand() -> None:
    logit = torch.tensor([[0.0, math.log(3.0), -math.log(3.0)]])
    matched = torch.tensor([[True, False, False]])
    known = torch.ones(1, 3, dtype=torch.bool)
    # -log(1/2) + 0.5 (-log(1 - 3/4)) + 0.5 (-log(1 - 1/4)), over one match.
    expected = math.log(2) + 0.5 * math.log(4) + 0.5 * math.log(4 / 3)
    assert float(nucleus_loss(logit, matched, known, 0.5)) == pytest.approx(expected, rel=1e-6)


def test_a_proposal_in_unknown_tissue_gets_exactly_no_gradient() -> None:
    logit = torch.randn(2, 5, requires_grad=True)
    matched = torch.zeros(2, 5, dtype=torch.bool)
    matched[0, 1] = True
    known = torch.tensor([[True, True, False, False, True], [False] * 5])
    nucleus_loss(logit, matched, known, 0.5).backward()
    assert logit.grad is not None
    assert (logit.grad[~known] == 0).all()
    assert (logit.grad[known] != 0).all()


def test_regression_loss_by_hand() -> None:
    xy = torch.tensor([[4.0, 8.0]])
    target = torch.tensor([[8.0, 0.0]])
    assert float(regression_loss(xy, target, 4.0)) == pytest.approx((1 + 4) / 2)


def test_class_loss_by_hand() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    classes = torch.tensor([0, 1])
    weight = torch.tensor([1.0, 3.0])
    expected = (1.0 * math.log(4 / 3) + 3.0 * math.log(2)) / 4.0
    assert float(class_loss(logits, classes, weight, 0.0)) == pytest.approx(expected, rel=1e-6)


def test_losses_of_nothing_are_zero_and_have_gradients() -> None:
    xy = torch.zeros(0, 2, requires_grad=True)
    logits = torch.zeros(0, 3, requires_grad=True)
    total = regression_loss(xy, torch.zeros(0, 2), 4.0)
    total = total + class_loss(logits, torch.zeros(0, dtype=torch.long), torch.ones(3), 0.1)
    total.backward()
    assert total.item() == 0.0


def test_rare_classes_weigh_more() -> None:
    weight = class_weights(torch.tensor([100, 400]))
    assert float(weight[0] / weight[1]) == pytest.approx(2.0)
    assert float(weight.mean()) == pytest.approx(1.0)


def test_a_class_that_does_not_occur_weighs_one_and_changes_nothing_for_the_others() -> None:
    with_it, without = torch.tensor([100, 0, 400]), torch.tensor([100, 400])
    assert float(class_weights(with_it)[1]) == 1.0
    torch.testing.assert_close(class_weights(with_it)[[0, 2]], class_weights(without))
    assert class_weights(torch.zeros(2)).tolist() == [1.0, 1.0]


def test_weights_of_one_change_nothing_and_others_by_hand() -> None:
    torch.manual_seed(0)
    xy, target = torch.rand(5, 2), torch.rand(5, 2)
    ones = torch.ones(5)
    torch.testing.assert_close(
        regression_loss(xy, target, 4.0, ones), regression_loss(xy, target, 4.0)
    )
    logits, classes, weight = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1]), torch.rand(3)
    torch.testing.assert_close(
        class_loss(logits, classes, weight, 0.1, ones), class_loss(logits, classes, weight, 0.1)
    )
    # A nucleus of weight 2 is equivalent to two of weight 1.
    double = torch.tensor([2.0, 1, 1, 1, 1])
    torch.testing.assert_close(
        class_loss(logits, classes, weight, 0.1, double),
        class_loss(torch.cat([logits[:1], logits]), torch.cat([classes[:1], classes]), weight, 0.1),
    )
    logit = torch.tensor([[0.0, 0.0]])
    matched = torch.tensor([[True, False]])
    known = torch.ones(1, 2, dtype=torch.bool)
    weighted = nucleus_loss(logit, matched, known, 0.5, torch.tensor([[2.0, 3.0]]))
    assert float(weighted) == pytest.approx((2 + 0.5 * 3) * math.log(2))
