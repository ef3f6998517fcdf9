"""Evaluate frozen features at given centres: kNN, linear probe and fine-tuning.

Protocol: Yang et al., AAAI 2026, and their evaluation code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from muse_core.data.points_folder import class_names_in, read_points_folder
from muse_core.detect import choose_device
from muse_core.errors import UserError
from muse_core.evaluate.bootstrap import image_weights, interval_95
from muse_core.evaluate.figures import ProbeFigures
from muse_core.evaluate.probe_config import ProbeConfig
from muse_core.evaluate.probe_heads import (
    ProbedNetwork,
    extract,
    finetune_probe,
    fit_linear,
    knn_predict,
    predict,
)
from muse_core.evaluate.probe_tiles import ProbeSet, probe_set
from muse_core.models.backbone import MuseBackbone
from muse_core.progress import OnProgress
from muse_core.slides.mpp import check_mpp


@dataclass(frozen=True)
class ProbeReport:
    """Accuracy of classification at given centres.

    Attributes:
        class_names: The classes, those of the training images.
        confusion: (K, K) int64, nuclei by true class and predicted class.
        n_train: Training nuclei.
        interval_95: Of the accuracy, by bootstrap over the test images.
        by_neighbours: Accuracy for each number of neighbours; empty but for kNN.
    """

    class_names: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    n_train: int
    interval_95: tuple[float, float]
    by_neighbours: dict[int, float]

    @property
    def accuracy(self) -> float:
        """Share of test nuclei that got their class, 0 to 1."""
        return float(self.confusion.trace() / self.confusion.sum())

    def to_json(self) -> ProbeFigures:
        """JSON-able figures; "f1" of a class is that at the given centres."""
        true, found = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        right = self.confusion.diagonal()
        f1 = 2 * right / np.maximum(true + found, 1)
        recall = right / np.maximum(true, 1)
        return {
            "accuracy": self.accuracy,
            "interval_95": list(self.interval_95),
            "balanced_accuracy": float(recall[true > 0].mean()),
            "per_class": {
                name: {"f1": float(f1[i]), "recall": float(recall[i]), "n_test": int(true[i])}
                for i, name in enumerate(self.class_names)
            },
            "confusion": {"classes": list(self.class_names), "counts": self.confusion.tolist()},
            "n_train": self.n_train,
            "n_test": int(true.sum()),
            "by_neighbours": {str(k): v for k, v in self.by_neighbours.items()},
        }


@dataclass(frozen=True)
class ProbeFolders:
    """Points-folders that a backbone is judged on.

    Attributes:
        train: To learn from.
        test: To measure on; it must hold no class that ``train`` lacks.
        mpp: Microns per pixel of the images that do not state it themselves.
        val: To choose the best epoch on; None keeps the last.
        force_mpp: Whether mpp counts also where an image states another scale.
    """

    train: str | Path
    test: str | Path
    mpp: float
    val: str | Path | None = None
    force_mpp: bool = False

    @property
    def all(self) -> tuple[str | Path, ...]:
        """Train, test and, if there is one, val."""
        return (self.train, self.test) if self.val is None else (self.train, self.test, self.val)


def probe_folders(
    backbone: MuseBackbone,
    model_mpp: float,
    folders: ProbeFolders,
    config: ProbeConfig,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> ProbeReport:
    """Judge a backbone on points-folders.

    Args:
        backbone: The network; fine-tuning changes it.
        model_mpp: Microns per pixel at which it is used.
        folders: What to learn from and to measure on.
        config: Protocol and settings.
        device: auto, cpu, cuda or mps.
        on_progress: Called with what is done, what is to do, and a message.

    Raises:
        UserError: A folder cannot be read, holds no nuclei, or their classes do not fit.
    """
    check_mpp(model_mpp)
    where = choose_device(device)
    backbone.to(where)
    names, sets = read_probe_sets(model_mpp, folders, config)
    learner = _Probe(backbone, names, config, where, on_progress)
    predicted, by_neighbours = learner.run(sets[0], sets[1], sets[2] if folders.val else None)
    return _report(sets[1], predicted, names, len(sets[0].labels), by_neighbours, config.seed)


def read_probe_sets(
    model_mpp: float, folders: ProbeFolders, config: ProbeConfig
) -> tuple[tuple[str, ...], list[ProbeSet]]:
    """Read the classes and the sets of folders, in the order of ``folders.all``.

    Raises:
        UserError: See :func:`probe_folders`.
    """
    read = [read_points_folder(f, folders.mpp, force_mpp=folders.force_mpp) for f in folders.all]
    names = class_names_in(read[0])
    sets = [probe_set(images, names, model_mpp, config.fov_px) for images in read]
    for folder, part in zip(folders.all, sets, strict=True):
        if not part.tiles:
            raise UserError(f"There is no nucleus in {folder}.")
    if len(names) < 2:
        raise UserError(
            f"There is only one class in {folders.train}; there is nothing to tell apart."
        )
    return names, sets


class _Probe:
    def __init__(
        self,
        backbone: MuseBackbone,
        names: tuple[str, ...],
        config: ProbeConfig,
        device: torch.device,
        on_progress: OnProgress | None,
    ) -> None:
        self._backbone = backbone
        self._n_classes = len(names)
        self._config = config
        self._device = device
        self._on_progress = on_progress

    def run(
        self, train: ProbeSet, test: ProbeSet, val: ProbeSet | None
    ) -> tuple[Tensor, dict[int, float]]:
        """Classes of the test nuclei, and for kNN the accuracy for each k."""
        labelled = self._labelled(train)
        if self._config.protocol == "knn":
            return self._knn(labelled, *self._labelled(test))
        chosen_on = self._labelled(val) if val is not None else None
        head = fit_linear(labelled, chosen_on, self._n_classes, self._config, self._on_progress)
        probed = ProbedNetwork(self._backbone, head)
        if self._config.protocol == "finetune":
            finetune_probe(
                probed, train, val, self._config, self._device, on_progress=self._on_progress
            )
        return predict(probed, test, self._device), {}

    def _labelled(self, tiles: ProbeSet) -> tuple[Tensor, Tensor]:
        features = extract(self._backbone, tiles, self._device, self._on_progress)
        return features, torch.from_numpy(tiles.labels)

    def _knn(
        self, train: tuple[Tensor, Tensor], test: Tensor, labels: Tensor
    ) -> tuple[Tensor, dict[int, float]]:
        accuracy: dict[int, float] = {}
        best = torch.zeros_like(labels)
        for k in self._config.neighbours:
            predicted = knn_predict(*train, test, k, self._config.temperature, self._n_classes)
            value = float((predicted == labels).double().mean())
            if value > max(accuracy.values(), default=-1.0):
                best = predicted
            accuracy[k] = value
        return best, accuracy


def _report(
    test: ProbeSet,
    predicted: Tensor,
    names: tuple[str, ...],
    n_train: int,
    by_neighbours: dict[int, float],
    seed: int,
) -> ProbeReport:
    found, true = predicted.numpy(), test.labels
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (true, found), 1)
    right = np.bincount(test.image_of_nucleus, weights=found == true, minlength=test.n_images)
    count = np.bincount(test.image_of_nucleus, minlength=test.n_images)
    weights = image_weights(test.n_images, seed)
    interval = interval_95((weights @ right) / np.maximum(weights @ count, 1))
    assert interval is not None, "every draw has an accuracy"
    return ProbeReport(names, confusion, n_train, (interval[0], interval[1]), by_neighbours)
