"""The classifiers of the probing protocol: neighbours, a linear layer, the whole network."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR

from muse_core.evaluate.probe_config import ProbeConfig
from muse_core.evaluate.probe_tiles import ProbeSet
from muse_core.memory import require_batch_memory
from muse_core.models.backbone import MuseBackbone
from muse_core.models.point_features import features_at_points, image_batch
from muse_core.progress import OnProgress

_QUERY_ROWS = 512


@dataclass(frozen=True)
class ProbedNetwork:
    """A network, and a linear layer that tells classes apart by its features."""

    backbone: MuseBackbone
    head: nn.Linear


def extract(
    backbone: MuseBackbone,
    tiles: ProbeSet,
    device: torch.device,
    on_progress: OnProgress | None = None,
    batch: int = 8,
) -> Tensor:
    """Features of all nuclei, tile by tile: (N, D) float32 on the CPU."""
    backbone.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(tiles.tiles), batch):
            parts.append(_features(backbone, tiles, range(start, start + batch), device).cpu())
            if on_progress:
                done = min(start + batch, len(tiles.tiles))
                on_progress(done, len(tiles.tiles), "Computing features")
    return torch.cat(parts) if parts else torch.zeros(0, backbone.out_channels)


def knn_predict(
    train: Tensor, labels: Tensor, test: Tensor, k: int, temperature: float, n_classes: int
) -> Tensor:
    """Vote of the k nearest training nuclei by cosine similarity, weighted exp(similarity / T).

    Args:
        train: (N, D) features.
        labels: (N,) their classes.
        test: (M, D) features.
        k: Neighbours; all of them where there are fewer.
        temperature: T.
        n_classes: Number of classes.

    Returns:
        (M,) classes.
    """
    train = functional.normalize(train, dim=1)
    predicted = []
    for queries in functional.normalize(test, dim=1).split(_QUERY_ROWS):
        similarity, nearest = (queries @ train.T).topk(min(k, len(train)), dim=1)
        votes = queries.new_zeros(len(queries), n_classes)
        votes.scatter_add_(1, labels[nearest], (similarity / temperature).exp())
        predicted.append(votes.argmax(dim=1))
    return torch.cat(predicted) if predicted else torch.zeros(0, dtype=torch.long)


def fit_linear(
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor] | None,
    n_classes: int,
    config: ProbeConfig,
    on_progress: OnProgress | None = None,
) -> nn.Linear:
    """Train a linear layer on features: SGD with momentum 0.9 and a cosine schedule.

    Args:
        train: (N, D) features and (N,) classes.
        val: The same of validation images; the best epoch on them is kept. None keeps the last.
        n_classes: Number of classes.
        config: Epochs, batch, learning rate, seed.
        on_progress: Called with epochs done, epochs in all, and a message.
    """
    features, labels = train
    generator = torch.Generator().manual_seed(config.seed)
    head = nn.Linear(features.shape[1], n_classes)
    with torch.no_grad():
        head.weight.normal_(0.0, 0.01, generator=generator)
        head.bias.zero_()
    optimiser = torch.optim.SGD(head.parameters(), lr=config.linear_rate, momentum=0.9)
    schedule = CosineAnnealingLR(optimiser, config.linear_epochs)
    best, best_accuracy = head, -1.0
    for epoch in range(config.linear_epochs):
        order = torch.randperm(len(features), generator=generator)
        for rows in _full_batches(order, config.linear_batch):
            loss = functional.cross_entropy(head(features[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        if val is not None:
            with torch.no_grad():
                accuracy = float((head(val[0]).argmax(dim=1) == val[1]).float().mean())
            if accuracy >= best_accuracy:
                best, best_accuracy = copy.deepcopy(head), accuracy
        if on_progress:
            on_progress(epoch + 1, config.linear_epochs, "Training the linear layer")
    return best


def finetune_probe(
    probed: ProbedNetwork,
    train: ProbeSet,
    val: ProbeSet | None,
    config: ProbeConfig,
    device: torch.device,
    *,
    on_progress: OnProgress | None = None,
) -> None:
    """Train network and head together, in place: AdamW without weight decay, cosine schedule.

    Args:
        probed: The network, and the head that :func:`fit_linear` gave.
        train: Training tiles.
        val: Validation tiles, the best epoch on them is kept; None keeps the last.
        config: Epochs, batch, learning rate, seed.
        device: Where to compute.
        on_progress: Called with epochs done, epochs in all, and a message.
    """
    batch = min(config.finetune_batch, len(train.tiles))
    require_batch_memory("tiles", batch, config.fov_px**2, device.type, training=True)
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    network = nn.ModuleList([probed.backbone, probed.head]).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.finetune_rate, weight_decay=0.0)
    schedule = CosineAnnealingLR(optimiser, config.finetune_epochs)
    best, best_accuracy = None, -1.0
    for epoch in range(config.finetune_epochs):
        network.train()
        order = torch.randperm(len(train.tiles), generator=generator)
        for rows in _full_batches(order, config.finetune_batch):
            labels = torch.cat([torch.from_numpy(train.tiles[i].labels) for i in rows.tolist()])
            logits = probed.head(_features(probed.backbone, train, rows.tolist(), device))
            loss = functional.cross_entropy(logits, labels.to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        if val is not None:
            predicted = predict(probed, val, device)
            accuracy = float((predicted == torch.from_numpy(val.labels)).float().mean())
            if accuracy >= best_accuracy:
                best, best_accuracy = copy.deepcopy(network.state_dict()), accuracy
        if on_progress:
            on_progress(epoch + 1, config.finetune_epochs, "Fine-tuning the network")
    if best is not None:
        network.load_state_dict(best)


def predict(probed: ProbedNetwork, tiles: ProbeSet, device: torch.device) -> Tensor:
    """Classes of all nuclei, tile by tile: (N,) int64 on the CPU."""
    features = extract(probed.backbone, tiles, device)
    with torch.inference_mode():
        result: Tensor = probed.head.to(device)(features.to(device)).argmax(dim=1).cpu()
        return result


def _features(
    backbone: MuseBackbone, tiles: ProbeSet, rows: range | list[int], device: torch.device
) -> Tensor:
    chosen = [tiles.tiles[i] for i in rows if i < len(tiles.tiles)]
    images = image_batch([tiles.pixels(tile) for tile in chosen], device)
    xy = [torch.from_numpy(tile.xy) for tile in chosen]
    return torch.cat(features_at_points(backbone, images, xy))


def _full_batches(order: Tensor, size: int) -> list[Tensor]:
    """Batches of one size; what is left over is left out, unless there is nothing else."""
    batches = list(order.split(size))
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) < size else batches
