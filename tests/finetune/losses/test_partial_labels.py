from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from muse_core.finetune.losses.partial_labels import partial_label_loss


def _oracle(
    logits: np.ndarray,
    labels: list[int],
    sets: list[set[int]],
    weight: list[float],
    smoothing: float,
    each: list[float],
) -> float:
    """The definition, nucleus by nucleus, in plain Python."""
    total, norm = 0.0, 0.0
    for row, label, own in zip(logits, labels, each, strict=True):
        if len(sets[label]) == len(row):
            continue
        odds = [math.exp(v) for v in row]
        p = [o / sum(odds) for o in odds]
        of_set = -math.log(sum(p[k] for k in sets[label]))
        even = -sum(math.log(v) for v in p) / len(p)
        share = weight[label] * own
        total += share * ((1 - smoothing) * of_set + smoothing * even)
        norm += share
    return total / norm if norm else 0.0


@given(st.data())
def test_loss_is_minus_log_of_the_summed_probability(data: st.DataObject) -> None:
    n_classes = data.draw(st.integers(2, 5))
    classes = st.integers(0, n_classes - 1)
    sets = data.draw(st.lists(st.sets(classes, min_size=1), min_size=1, max_size=4))
    labels = data.draw(st.lists(st.integers(0, len(sets) - 1), min_size=1, max_size=6))
    number = st.floats(0.1, 3.0)
    weight = data.draw(st.lists(number, min_size=len(sets), max_size=len(sets)))
    each = data.draw(st.lists(number, min_size=len(labels), max_size=len(labels)))
    smoothing = data.draw(st.sampled_from([0.0, 0.1]))
    seed = data.draw(st.integers(0, 999))
    logits = np.random.default_rng(seed).normal(0, 2, (len(labels), n_classes))
    allowed = torch.tensor([[k in s for k in range(n_classes)] for s in sets])
    loss = partial_label_loss(
        torch.from_numpy(logits),
        torch.tensor(labels),
        allowed,
        torch.tensor(weight),
        smoothing,
        torch.tensor(each),
    )
    expected = _oracle(logits, labels, sets, weight, smoothing, each)
    assert loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_labels_of_one_class_each_are_plain_cross_entropy() -> None:
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])
    loss = partial_label_loss(logits, labels, torch.eye(3, dtype=torch.bool), torch.ones(3))
    torch.testing.assert_close(loss, functional.cross_entropy(logits, labels))


def test_a_label_that_may_be_any_class_has_exactly_no_gradient() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    allowed = torch.tensor([[True, True, True], [True, False, False]])
    loss = partial_label_loss(logits, torch.tensor([0, 0, 1, 0]), allowed, torch.ones(2), 0.1)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[[0, 1, 3]] == 0).all()
    assert (logits.grad[2] != 0).all()


def test_the_classes_of_a_set_are_not_told_apart() -> None:
    # Their share of the set's probability is not changed.
    logits = torch.tensor([[2.0, 0.0, 1.0]], requires_grad=True)
    allowed = torch.tensor([[True, True, False]])
    partial_label_loss(logits, torch.tensor([0]), allowed, torch.ones(1)).backward()
    p = torch.tensor([2.0, 0.0, 1.0]).softmax(0)
    assert logits.grad is not None
    first, second, third = logits.grad[0]
    assert float(first / second) == pytest.approx(float(p[0] / p[1]), rel=1e-4)
    assert float(third) == pytest.approx(float(p[2]), rel=1e-4)


def test_nothing_that_says_anything_is_zero_with_a_gradient() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    allowed = torch.ones(1, 3, dtype=torch.bool)
    loss = partial_label_loss(logits, torch.tensor([0, 0]), allowed, torch.ones(1))
    loss = loss + partial_label_loss(logits[:0], torch.tensor([]).long(), allowed, torch.ones(1))
    loss.backward()
    assert loss.item() == 0.0
