from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from muse_core.errors import UserError
from muse_core.evaluate.probe import ProbeFolders, probe_folders
from muse_core.evaluate.probe_config import ProbeConfig
from muse_core.evaluate.probe_heads import fit_linear, knn_predict
from muse_core.models.backbone import MuseBackbone
from muse_core.models.config import BackboneConfig

from ..job_inputs import write_points_folder


def _clusters(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n,), generator=generator)
    centres = torch.eye(3, 8) * 4
    return centres[labels] + torch.randn(n, 8, generator=generator), labels


@pytest.mark.parametrize("k", [1, 10, 500])
def test_knn_votes_as_scikit_learn_does(k: int) -> None:
    (train, labels), (test, _) = _clusters(300, 0), _clusters(120, 1)
    ours = knn_predict(train, labels, test, k, 0.07, 3)
    oracle = KNeighborsClassifier(
        min(k, 300), metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07)
    ).fit(train.numpy(), labels.numpy())
    np.testing.assert_array_equal(ours.numpy(), oracle.predict(test.numpy()))


def test_the_linear_layer_learns_and_is_the_same_for_the_same_seed() -> None:
    train, test = _clusters(600, 0), _clusters(300, 1)
    config = ProbeConfig(linear_epochs=20, seed=3)
    head = fit_linear(train, None, 3, config)
    assert float((head(test[0]).argmax(1) == test[1]).float().mean()) > 0.9
    torch.testing.assert_close(fit_linear(train, None, 3, config).weight, head.weight)
    other = fit_linear(train, None, 3, ProbeConfig(linear_epochs=20, seed=4))
    assert (other.weight != head.weight).any()


def test_validation_keeps_the_best_epoch() -> None:
    train = _clusters(300, 0)
    # With these labels less training is better: the first epochs win.
    wrong = (train[0], (train[1] + 1) % 3)
    config = ProbeConfig(linear_epochs=15)
    kept = fit_linear(train, wrong, 3, config)
    last = fit_linear(train, None, 3, config)
    error = [float((h(wrong[0]).argmax(1) == wrong[1]).float().mean()) for h in (kept, last)]
    assert error[0] >= error[1]
    assert kept.weight.norm() < last.weight.norm()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_points_folder(tmp_path / "f", n_images=4)
    return tmp_path / "f"


def _backbone() -> MuseBackbone:
    torch.manual_seed(0)
    return MuseBackbone(BackboneConfig("resnet10t", (8, 8, 8, 8), 8)).eval()


@pytest.mark.parametrize("protocol", ["knn", "linear", "finetune"])
def test_every_protocol_runs_on_images_and_repeats_itself(folder: Path, protocol: str) -> None:
    config = ProbeConfig(
        protocol, neighbours=(1, 5), linear_epochs=3, finetune_epochs=1, finetune_batch=2, seed=1
    )
    folders = ProbeFolders(folder, folder, 0.5, folder)
    figures = [probe_folders(_backbone(), 0.5, folders, config, "cpu") for _ in range(2)]
    first, second = (json.dumps(f.to_json()) for f in figures)
    assert first == second
    facts = figures[0].to_json()
    assert facts["n_train"] == facts["n_test"] == 64
    assert sum(map(sum, facts["confusion"]["counts"])) == 64
    low, high = facts["interval_95"]
    assert low <= facts["accuracy"] <= high
    if protocol == "knn":
        # Every test nucleus is its own nearest neighbour.
        assert facts["by_neighbours"]["1"] == facts["accuracy"] == 1.0


def test_folders_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_points_folder(other, classes=("lymphocyte", "plasma"))
    config = ProbeConfig("knn")
    with pytest.raises(UserError, match="'plasma'"):
        probe_folders(_backbone(), 0.5, ProbeFolders(folder, other, 0.5), config, "cpu")
    one = tmp_path / "one"
    write_points_folder(one, classes=("lymphocyte",))
    with pytest.raises(UserError, match="only one class"):
        probe_folders(_backbone(), 0.5, ProbeFolders(one, one, 0.5), config, "cpu")


@pytest.mark.parametrize(
    "change", [{"protocol": "svm"}, {"neighbours": (0,)}, {"temperature": 0.0}]
)
def test_impossible_settings_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(UserError):
        ProbeConfig(**change)  # type: ignore[arg-type]
