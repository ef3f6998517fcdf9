from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.classify.feature_folder import UNKNOWN
from muse_core.classify.relearn.base import BaseLogits, base_logits, class_targets
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.examples import Examples
from muse_core.classify.relearn.learner import Learner
from muse_core.classify.relearn.logistic import LinearChange
from muse_core.errors import UserError

from ...blas import blas_threads

NAMES = ("lymphocyte", "stromal", "tumor", "mitosis")
KNOWN = np.array([True, True, True, False])
Rows = npt.NDArray[np.int64]


class Tissue:
    """Nuclei of four kinds in 16 features; the model mistakes kind 1 for kind 2."""

    def __init__(self, n: int = 600, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.kind = np.arange(n) % 4
        self.features = (rng.standard_normal((n, 16)) + 3 * np.eye(4, 16)[self.kind]).astype(
            np.float16
        )
        logits = rng.standard_normal((4, n)).astype(np.float32)
        logits[np.where(self.kind == 1, 2, self.kind), np.arange(n)] += 1.5
        logits[3] = logits[:3].mean(axis=0) - 1
        self.base = BaseLogits(logits, KNOWN)
        self.xy = rng.uniform(0, 5000, (n, 2))

    def learner(self, method: str = "logistic") -> Learner:
        return Learner(self.features, self.base, NAMES, 0.5, RelearnConfig(method=method))

    def examples(self, rows: npt.ArrayLike) -> Examples:
        at = np.asarray(rows, dtype=np.int64)
        return Examples(at, self.kind[at], self.xy[at])


@pytest.mark.parametrize("method", ["logistic", "knn"])
def test_without_corrections_it_is_the_model_s_prediction(method: str) -> None:
    tissue = Tissue()
    found = tissue.learner(method).learn(tissue.examples([])).predictor.predict()
    assert found is not None
    np.testing.assert_array_equal(found.classes, tissue.base.values[:3].argmax(axis=0))
    assert (found.probabilities[3] == 0).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize(("method", "least"), [("logistic", 0.85), ("knn", 0.75)])
def test_corrections_teach_the_rest(method: str, least: float) -> None:
    tissue = Tissue()
    rows = np.arange(80)
    result = tissue.learner(method).learn(tissue.examples(rows))
    found = result.predictor.predict()
    assert found is not None
    rest = slice(80, None)
    before = (tissue.base.values[:3].argmax(axis=0)[rest] == tissue.kind[rest]).mean()
    after = (found.classes[rest] == tissue.kind[rest]).mean()
    assert before < 0.5
    assert after > least
    assert result.agreement is not None
    assert result.agreement == pytest.approx(after, abs=0.15)
    assert result.agreement_before == pytest.approx(before, abs=0.15)


def test_a_new_class_needs_five_examples() -> None:
    tissue = Tissue()
    mitoses = np.flatnonzero(tissue.kind == 3)
    others = np.flatnonzero(tissue.kind != 3)[:20]
    four = tissue.learner().learn(tissue.examples([*mitoses[:4], *others]))
    found = four.predictor.predict()
    assert found is not None
    assert not (found.classes == 3).any()
    assert four.notes == ("mitosis has 4 of the 5 examples that a class new to the model needs.",)
    five = tissue.learner().learn(tissue.examples([*mitoses[:5], *others])).predictor.predict()
    assert five is not None
    assert (five.classes[mitoses[5:]] == 3).mean() > 0.5
    assert not five.classes[others].tolist().count(3)


def test_corrections_of_one_class_only_are_refused_with_a_sentence() -> None:
    tissue = Tissue()
    with pytest.raises(UserError, match="All corrections so far are of class stromal; correct"):
        tissue.learner().learn(tissue.examples(np.flatnonzero(tissue.kind == 1)[:6]))


@pytest.mark.parametrize("name", ["ridge", "bias_ridge", "prior_votes", "region_um"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_settings_that_are_no_positive_numbers_are_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"{name}.* must be (positive|a finite number)"):
        RelearnConfig(**{name: value})  # type: ignore[arg-type]


def test_contradictions_are_left_out_with_a_sentence() -> None:
    tissue = Tissue()
    sound = tissue.examples(np.arange(40))
    twice = Examples(
        np.append(sound.rows, 0), np.append(sound.classes, 2), np.vstack([sound.xy, sound.xy[:1]])
    )
    result = tissue.learner().learn(twice)
    assert result.n_examples == 39
    assert result.notes[0].startswith("2 corrected nuclei lie at the same place as another")


@pytest.mark.parametrize("method", ["logistic", "knn"])
def test_broken_features_keep_the_model_s_class(method: str) -> None:
    tissue = Tissue()
    tissue.features[100] = np.nan
    tissue.features[101] = np.inf
    tissue.features[5, 3] = np.inf
    result = tissue.learner(method).learn(tissue.examples(np.arange(60)))
    found = result.predictor.predict()
    assert found is not None
    assert result.n_examples == 59
    broken = [100, 101]
    assert (found.classes[broken] == tissue.base.values[:, broken].argmax(axis=0)).all()
    assert np.isfinite(found.probabilities).all()


def test_some_rows_are_predicted_as_among_all() -> None:
    tissue = Tissue(n=9000)
    predictor = tissue.learner().learn(tissue.examples(np.arange(50))).predictor
    every, some = predictor.predict(), predictor.predict(np.array([8999, 3, 3, 4097]))
    assert every is not None
    assert some is not None
    np.testing.assert_array_equal(some.classes, every.classes[[8999, 3, 3, 4097]])
    np.testing.assert_allclose(
        some.probabilities, every.probabilities[:, [8999, 3, 3, 4097]], atol=1e-5
    )


def test_the_threads_of_numpy_do_not_wait_among_those_of_the_prediction() -> None:
    tissue = Tissue()
    predictor = tissue.learner().learn(tissue.examples(np.arange(40))).predictor
    meanwhile: list[int] = []

    def look() -> bool:
        meanwhile.extend(blas_threads())
        return False

    assert predictor.predict(should_stop=look) is not None
    assert set(meanwhile) <= {1}
    assert bool(meanwhile) == bool(blas_threads())


def test_it_stops_when_asked() -> None:
    tissue = Tissue()
    predictor = tissue.learner().learn(tissue.examples([])).predictor
    assert predictor.predict(should_stop=lambda: True) is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(2, 40))
def test_many_at_one_spot_are_heard_less_than_apart(seed: int, n: int) -> None:
    tissue = Tissue(seed=seed)
    rows = np.arange(n) * 4 + 1
    pair = np.append(rows, 2)
    apart = tissue.examples(pair)
    spread = np.arange(n + 1)[:, None] * [1000.0, 0.0]
    crowded = np.where(np.arange(n + 1)[:, None] < n, np.arange(n + 1)[:, None] * 1.0, 9000.0)
    p = []
    for xy in (spread, np.hstack([crowded, crowded])):
        found = tissue.learner().learn(Examples(apart.rows, apart.classes, xy)).predictor
        change = found.change
        assert isinstance(change, LinearChange)
        p.append(np.abs(change.weight).sum())
    assert p[1] <= p[0] + 1e-6


def test_the_model_s_own_class_stands_first_whatever_rounding_says() -> None:
    logits = np.array([[1.0, 1.0001, 0.2], [0.5, 0.1, 0.2], [3, 2, 1]], np.float32)
    given = np.array([0, 1, UNKNOWN], np.uint8)
    base = base_logits(logits, given, [0, 1, 2], 4, 1.0)
    assert base.values.argmax(axis=0).tolist() == [0, 1, 0]
    assert base.known.tolist() == [True, True, True, False]
    np.testing.assert_allclose(base.values[3], logits.mean(axis=1) - 1)


def test_classes_that_became_one_are_as_likely_as_the_likelier() -> None:
    logits = np.array([[1.0, 3.0, 2.0]], np.float32)
    base = base_logits(logits, np.array([UNKNOWN], np.uint8), [0, 0, 1], 2, 1.0)
    assert base.values[:, 0].tolist() == [3.0, 2.0]
    with pytest.raises(UserError, match="None of the model's classes"):
        base_logits(logits, np.array([UNKNOWN], np.uint8), [-1, -1, -1], 2, 1.0)


def test_classes_are_found_by_map_by_name_and_by_what_they_became() -> None:
    given = np.array([2, 2, 2, 0, UNKNOWN], np.uint8)
    now = np.array([1, 1, 0, 0, 0])
    targets, notes = class_targets(
        ["lymphocyte", "tumor", "stromal", "other"],
        ["lymphocyte", "fibroblast", "epithelial"],
        {"tumor": "epithelial"},
        given,
        now,
    )
    assert targets == [0, 2, 1, -1]
    assert notes == ["The model's class stromal is fibroblast on this slide."]
