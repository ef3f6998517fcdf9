from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from muse_core.classify.relearn.logistic import LinearChange, fit_change

Floats = npt.NDArray[np.float64]


def _examples(seed: int, n: int, d: int, k: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])
    return rng.standard_normal((n, d)) + y[:, None], y


@pytest.mark.parametrize(("n", "d"), [(60, 8), (15, 40)])
def test_with_flat_logits_it_is_the_regression_of_scikit_learn(n: int, d: int) -> None:
    x, y = _examples(0, n, d, 3)
    weights = np.random.default_rng(1).uniform(0.2, 2, n)
    # Ours penalises the bias too, sklearn's does not.
    ours = fit_change(x, np.zeros((n, 3)), y, weights, ridge=2.0, bias_ridge=1e-9)
    hers = LogisticRegression(C=1 / 2.0, tol=1e-8, max_iter=5000).fit(x, y, sample_weight=weights)
    np.testing.assert_allclose(
        softmax(ours.apply(x, np.zeros((n, 3))), axis=1), hers.predict_proba(x), atol=2e-4
    )
    np.testing.assert_allclose(ours.weight, hers.coef_.T, atol=2e-4)


def test_no_examples_change_nothing() -> None:
    logits = np.random.default_rng(0).standard_normal((7, 3))
    none = fit_change(
        np.zeros((0, 5)), np.zeros((0, 3)), np.zeros(0, int), np.zeros(0), ridge=1, bias_ridge=1
    )
    x = np.random.default_rng(1).standard_normal((7, 5))
    np.testing.assert_array_equal(none.apply(x, logits), logits)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 12))
def test_an_example_makes_its_class_likelier(seed: int, k: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    x, logits = rng.standard_normal((1, d)), 3 * rng.standard_normal((1, k))
    y = rng.integers(k, size=1)
    change = fit_change(x, logits, y, np.ones(1), ridge=5, bias_ridge=1)
    before, after = (softmax(z, axis=1)[0, y[0]] for z in (logits, change.apply(x, logits)))
    assert after > before


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_examples_plays_no_part(seed: int) -> None:
    x, y = _examples(seed, 12, 6, 3)
    logits = np.random.default_rng(seed).standard_normal((12, 3))
    order = np.random.default_rng(seed + 1).permutation(12)
    one = fit_change(x, logits, y, np.ones(12), 3, 1)
    other = fit_change(x[order], logits[order], y[order], np.ones(12), 3, 1)
    np.testing.assert_allclose(one.weight, other.weight, atol=1e-4)


def test_a_weight_of_two_is_the_example_twice() -> None:
    x, y = _examples(2, 9, 4, 3)
    logits = np.zeros((9, 3))
    twice = np.concatenate([np.arange(9), [0, 4]])
    weights = np.ones(9)
    weights[[0, 4]] = 2
    one = fit_change(x, logits, y, weights, 3, 1)
    other = fit_change(x[twice], logits[twice], y[twice], np.ones(11), 3, 1)
    np.testing.assert_allclose(one.weight, other.weight, atol=1e-4)


def test_the_change_for_raw_features_is_the_same() -> None:
    rng = np.random.default_rng(0)
    raw, centre, scale = rng.standard_normal((5, 4)), rng.standard_normal(4), rng.uniform(1, 2, 4)
    change = LinearChange(rng.standard_normal((4, 3)), rng.standard_normal(3))
    np.testing.assert_allclose(
        change.unscaled(centre, scale).apply(raw, np.zeros((5, 3))),
        change.apply((raw - centre) / scale, np.zeros((5, 3))),
    )
