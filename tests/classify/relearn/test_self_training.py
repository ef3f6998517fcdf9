from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.logistic import fit_change
from muse_core.classify.relearn.self_training import Holds, Unlabelled, fit_self_trained
from muse_core.errors import UserError

Floats = npt.NDArray[np.float64]
HOLDS = Holds(ridge=2.0, bias_ridge=1.0, sure_weight=4.0, sure_most=100.0, sure_from=0.7)


def _two_clouds(seed: int, n: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Two classes that lie far apart along a diagonal."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return rng.standard_normal((n, 6)) + np.where(y[:, None] == 1, 1.2, -1.2), y


def _unlabelled(seed: int, m: int = 300) -> tuple[Unlabelled, npt.NDArray[np.int64]]:
    x, y = _two_clouds(seed, m)
    return Unlabelled(x, np.zeros((m, 2))), y


def test_each_round_is_the_regression_of_scikit_learn_with_the_sure_ones() -> None:
    x, y = _two_clouds(0, 6)
    others, _ = _unlabelled(1)
    weights = np.linspace(0.5, 1, 6)
    # Hers does not hold the bias.
    holds = Holds(2.0, 1e-9, sure_weight=4.0, sure_most=1e9, sure_from=0.7)
    ours = fit_self_trained(x, np.zeros((6, 2)), y, weights, others, holds)

    def hers(rows: Floats, classes: npt.ArrayLike, counts: Floats) -> LogisticRegression:
        # Two weights a feature, each held by the ridge, are one held by half of it.
        fit = LogisticRegression(C=2 / 2.0, tol=1e-9, max_iter=5000)
        return fit.fit(rows, classes, sample_weight=counts)

    model = hers(x, y, weights)
    for _ in range(2):
        p = model.predict_proba(others.features)
        sure = p.max(axis=1) >= 0.7
        model = hers(
            np.concatenate([x, others.features[sure]]),
            np.concatenate([y, p[sure].argmax(axis=1)]),
            np.concatenate([weights, np.full(sure.sum(), 4 * weights.sum() / sure.sum())]),
        )
    p = softmax(ours.apply(others.features, others.logits), axis=1)
    np.testing.assert_allclose(p, model.predict_proba(others.features), atol=2e-3)


def test_with_few_examples_the_others_are_told_apart_better() -> None:
    right: list[float] = []
    alone: list[float] = []
    for seed in range(20):
        x, y = _two_clouds(seed, 4)
        others, true = _unlabelled(100 + seed)
        few = (x, np.zeros((4, 2)), y, np.ones(4))
        taught = fit_self_trained(*few, others, HOLDS)
        plain = fit_change(*few, HOLDS.ridge, HOLDS.bias_ridge)
        for found, change in ((right, taught), (alone, plain)):
            z = change.apply(others.features, others.logits)
            found.append(float((z.argmax(axis=1) == true).mean()))
    assert np.mean(right) > np.mean(alone)


def test_no_examples_change_nothing() -> None:
    others, _ = _unlabelled(0)
    none = (np.zeros((0, 6)), np.zeros((0, 2)), np.zeros(0, int), np.zeros(0))
    change = fit_self_trained(*none, others, HOLDS)
    assert not change.weight.any()
    assert not change.bias.any()


@pytest.mark.parametrize(
    "holds",
    [
        Holds(2.0, 1.0, 0.0, 100.0, 0.7),
        Holds(2.0, 1.0, 4.0, 0.0, 0.7),
        Holds(2.0, 1.0, 4.0, 9, 1.0),
    ],
    ids=["no weight", "no weight at the most", "never sure"],
)
def test_where_no_other_teaches_it_is_the_plain_change(holds: Holds) -> None:
    x, y = _two_clouds(3, 8)
    few = (x, np.zeros((8, 2)), y, np.ones(8))
    ours = fit_self_trained(*few, _unlabelled(4)[0], holds)
    plain = fit_change(*few, 2.0, 1.0)
    np.testing.assert_allclose(ours.weight, plain.weight, atol=1e-4)


def test_without_any_other_it_is_the_plain_change() -> None:
    x, y = _two_clouds(3, 8)
    few = (x, np.zeros((8, 2)), y, np.ones(8))
    ours = fit_self_trained(*few, Unlabelled(np.zeros((0, 6)), np.zeros((0, 2))), HOLDS)
    np.testing.assert_array_equal(ours.weight, fit_change(*few, 2.0, 1.0).weight)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_other_names_of_the_classes_give_the_same_change(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.integers(k, size=6)])
    x, logits = rng.standard_normal((len(y), 5)), rng.standard_normal((len(y), k))
    others = Unlabelled(rng.standard_normal((40, 5)), 2 * rng.standard_normal((40, k)))
    order = rng.permutation(k)
    back = np.argsort(order)
    one = fit_self_trained(x, logits, y, np.ones(len(y)), others, HOLDS)
    renamed = Unlabelled(others.features, others.logits[:, order])
    other = fit_self_trained(x, logits[:, order], back[y], np.ones(len(y)), renamed, HOLDS)
    np.testing.assert_allclose(one.weight[:, order], other.weight, atol=5e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_mirrored_features_give_a_mirrored_change(seed: int) -> None:
    x, y = _two_clouds(seed, 10)
    others, _ = _unlabelled(seed + 1, 60)
    sign = np.where(np.random.default_rng(seed).uniform(size=6) < 0.5, -1.0, 1.0)
    flat, ones = np.zeros((10, 2)), np.ones(10)
    one = fit_self_trained(x, flat, y, ones, others, HOLDS)
    mirrored = Unlabelled(others.features * sign, others.logits)
    other = fit_self_trained(x * sign, flat, y, ones, mirrored, HOLDS)
    np.testing.assert_allclose(one.weight * sign[:, None], other.weight, atol=5e-3)


def test_many_corrections_outweigh_what_is_sure() -> None:
    """Labels that contradict what the model is sure of everywhere win by their number."""
    x, y = _two_clouds(0, 800)
    sure = Unlabelled(_two_clouds(1, 100)[0], np.zeros((100, 2)))
    sure.logits[:, 0] = 20
    wrong = np.zeros((800, 2))
    wrong[:, 0] = 3
    change = fit_self_trained(x, wrong, y, np.ones(800), sure, HOLDS)
    assert (change.apply(x, wrong).argmax(axis=1) == y).mean() > 0.95


@pytest.mark.parametrize(("weight", "most", "sure"), [(-1, 1, 0.5), (1, -1, 0.5), (1, 1, 1.5)])
def test_settings_that_make_no_sense_are_refused(weight: float, most: float, sure: float) -> None:
    with pytest.raises(UserError, match="What sure nuclei weigh"):
        RelearnConfig(sure_weight=weight, sure_most=most, sure_from=sure)
