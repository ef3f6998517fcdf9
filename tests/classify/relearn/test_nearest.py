from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.neighbors import KNeighborsClassifier

from muse_core.classify.relearn.nearest import fit_votes


def test_without_examples_the_model_s_probabilities_stand() -> None:
    logits = np.random.default_rng(0).standard_normal((6, 3))
    votes = fit_votes(np.zeros((0, 4)), np.zeros(0, int), 3, np.zeros(0), 5, 2.0)
    found = votes.apply(np.ones((6, 4)), logits)
    np.testing.assert_allclose(np.exp(found), softmax(logits, axis=1), atol=1e-6)


@pytest.mark.parametrize("neighbours", [1, 5])
def test_where_the_model_says_nothing_it_is_scikit_learn_s(neighbours: int) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=40)
    x = rng.standard_normal((40, 6)) + 2 * np.eye(3, 6)[y]
    asked = rng.standard_normal((50, 6))

    def weight(distance: np.ndarray) -> np.ndarray:
        # Ours by the cosine; the cosine distance is one minus it.
        return np.asarray(np.exp((1 - distance - 0.7) / 0.2))

    hers = KNeighborsClassifier(neighbours, metric="cosine", weights=weight).fit(x, y)
    votes = fit_votes(x, y, 3, np.ones(40), neighbours, 1e-9)
    ours = votes.apply(asked, np.zeros((50, 3)))
    np.testing.assert_allclose(np.exp(ours), hers.predict_proba(asked), atol=1e-4)


def test_a_neighbour_that_weighs_nothing_has_no_vote() -> None:
    x = np.array([[1.0, 0.0], [1.0, 0.01]])
    votes = fit_votes(x, np.array([0, 1]), 2, np.array([1.0, 0.0]), 2, 0.1)
    assert votes.apply(np.array([[1.0, 0.005]]), np.zeros((1, 2))).argmax() == 0
