from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from muse_core.classify.class_head import read_class_head
from muse_core.classify.feature_folder import FeatureFacts, append_features, find_features
from muse_core.classify.relearn.carry_over import relearned_head, save_relearned
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.learner import LearningResult
from muse_core.classify.relearn.slide_learner import SlideLearner, SlideNuclei
from muse_core.errors import UserError
from muse_core.files import sha256_of
from muse_core.finetune.start import with_classes
from muse_core.models.checkpoint import load_model
from muse_core.models.registry import resolve_model
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import SlideIdentity

N = 400
SLIDE = SlideIdentity("a.svs", 9, "f" * 64)


@dataclass
class Learnt:
    learner: SlideLearner
    result: LearningResult
    features: npt.NDArray[np.float16]
    classes: npt.NDArray[np.int64]
    scheme: ClassScheme


def _learn(
    tmp_path: Path, names: tuple[str, ...], class_map: dict[str, str], method: str = "logistic"
) -> Learnt:
    path = resolve_model(None)
    head = read_class_head(path)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((N, head.n_features)).astype(np.float16)
    features[: N // 2, :40] += 2
    xy = np.stack([np.arange(N) * 9.0, rng.permutation(N) * 7.0], axis=1)
    given = head.logits(features).argmax(axis=1)
    facts = FeatureFacts(
        head.card.name, sha256_of(path), head.class_names, head.n_features, 9, "f" * 64, 0.5
    )
    append_features(tmp_path / "f", facts, xy, features, given)
    classes = np.where(np.arange(N) < N // 2, len(names) - 1, given % len(names))
    settled = np.arange(N) % 7 == 0
    nuclei = SlideNuclei(np.arange(N), xy, classes, settled)
    learner = SlideLearner(
        find_features(tmp_path / "f", SLIDE), head, names, nuclei, class_map=class_map,
        config=RelearnConfig(method=method),
    )  # fmt: skip
    result = learner.learn(nuclei)
    found = result.predictor.predict()
    assert found is not None
    scheme = ClassScheme.from_names(names)
    return Learnt(learner, result, features, found.classes.astype(np.int64), scheme)


def test_the_network_says_of_every_nucleus_what_was_learnt(tmp_path: Path) -> None:
    names = ("lymphocyte", "stromal", "tumor", "mitosis")
    learnt = _learn(tmp_path, names, {})
    out = save_relearned(
        learnt.learner, learnt.result, resolve_model(None), learnt.scheme,
        tmp_path / "mine.safetensors", "a.svs",
    )  # fmt: skip
    model = load_model(out)
    with torch.inference_mode():
        logits = model.class_head(torch.from_numpy(learnt.features).float()).numpy()
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = learnt.result.predictor.predict()
    assert found is not None
    np.testing.assert_allclose(probabilities.T, found.probabilities, atol=0.02)
    assert (logits.argmax(axis=1) == learnt.classes).mean() > 0.99
    card = model.card
    assert card.name == "mine"
    assert card.parent == load_model(resolve_model(None)).card.name
    assert [c["name"] for c in card.classes] == list(names)
    assert card.training["relearned"]["examples"] == learnt.result.n_examples
    assert "data" in card.training
    assert card.metrics["agreement_on_corrections"] == learnt.result.agreement


def test_before_it_is_rounded_the_head_is_exact(tmp_path: Path) -> None:
    learnt = _learn(tmp_path, ("lymphocyte", "stromal", "tumor"), {})
    head = relearned_head(learnt.learner, learnt.result)
    logits = head.logits(learnt.features).astype(np.float64)
    found = learnt.result.predictor.predict()
    assert found is not None
    log_p = np.log(found.probabilities.T.clip(1e-6))
    shown = found.probabilities.T > 1e-4
    difference = (logits - log_p) - (logits - log_p)[np.arange(N), learnt.classes][:, None]
    assert np.abs(difference[shown]).max() < 2e-3


def test_fine_tuning_starts_from_it(tmp_path: Path) -> None:
    learnt = _learn(tmp_path, ("lymphocyte", "stromal", "tumor"), {})
    out = save_relearned(
        learnt.learner, learnt.result, resolve_model(None), learnt.scheme,
        tmp_path / "mine.safetensors", "a.svs",
    )  # fmt: skip
    other = with_classes(load_model(out), ClassScheme.from_names(("lymphocyte", "new")), {})
    assert other.class_head.hidden.out_features == load_model(out).class_head.hidden.out_features


def test_what_a_head_cannot_say_is_a_sentence(tmp_path: Path) -> None:
    merged = _learn(tmp_path / "a", ("background", "tumor"), dict.fromkeys(
        ("lymphocyte", "stromal"), "background"
    ))  # fmt: skip
    with pytest.raises(UserError, match="Several classes of the model are one on this slide"):
        relearned_head(merged.learner, merged.result)
    votes = _learn(tmp_path / "b", ("lymphocyte", "stromal", "tumor"), {}, "knn")
    with pytest.raises(UserError, match="Only what is learnt by the linear method"):
        relearned_head(votes.learner, votes.result)
