"""Class heads on the features of a trained model, evaluated on hospitals it has not seen.

    python benchmarks/class_heads.py --data DATA --work WORK --models "sets-300-0-without-{site}"

WORK contains the models of cross_validate.py. The network of each is not changed; its detections on
training tiles, with the classes annotated there, are used to train two new heads: one with one
hidden layer, and one that also reads the features of the 32 nearest nuclei within 60 um by
attention. Both then classify the detections on the tiles of the hospital that the network was
trained without. Prints one JSON line per head: F avg of each hospital, and their mean.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from class_surroundings import BATCH, TAUGHT_BY, allowed_at, fit
from label_sets import CLASSES, MPP, SETS, Prepared, prepare
from muse_small import BREAST_SITES

from cross_validate import tiles_of
from muse_core.data.points_folder import AnnotatedImage, read_points_folder
from muse_core.evaluate.detection import score_tables
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel
from muse_core.models.point_features import image_batch
from muse_core.nuclei import nucleus_table

N_NEIGHBOURS, REACH_PX = 32, 60 / MPP
DISTANCE_BIN_PX, N_DISTANCE_BINS = 10, 13
HIDDEN, CONTEXT, ATTENTION_HEADS = 128, 64, 4
CONTEXT_DROPPED = 0.3


@dataclass(frozen=True)
class Nuclei:
    """Detections of a network on some tiles.

    Attributes:
        features: (n, C) float32 at the nuclei, standardised.
        allowed: (n, K) float32, 1 for the classes that a nucleus may have by its annotation; a
            row of ones if no annotation is matched or it does not restrict the class.
        near: (n, 32) int64, the nearest nuclei of the same tile; the nucleus itself where there
            are fewer.
        distance_px: (n, 32) float32 to these; negative where there are fewer.
        weight: (n,) float64, relative frequency with which a nucleus is sampled.
    """

    features: Tensor
    allowed: Tensor
    near: Tensor
    distance_px: Tensor
    weight: npt.NDArray[np.float64]


class Head(nn.Module):
    """Head with one hidden layer over the features of a nucleus and, if asked, its neighbours."""

    def __init__(self, channels: int, context: bool) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels, HIDDEN)
        self.out = nn.Linear(HIDDEN, len(CLASSES))
        self.dropout = nn.Dropout(0.3)
        self.context = Context(channels) if context else None

    def forward(self, nuclei: Nuclei, which: Tensor) -> Tensor:
        """Logits (m, K) of the nuclei ``which`` (m,)."""
        hidden = self.hidden(self.dropout(nuclei.features[which]))
        if self.context is not None:
            seen = self.context(nuclei, which)
            if self.training:
                seen = seen * (torch.rand(len(which), 1) > CONTEXT_DROPPED)
            hidden = hidden + seen
        logits: Tensor = self.out(self.dropout(functional.gelu(hidden)))
        return logits


class Context(nn.Module):
    """Attention over the neighbours, with a learnt bias for their distance."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, CONTEXT)
        self.neighbour = nn.Linear(channels, CONTEXT)
        self.key = nn.Linear(CONTEXT, CONTEXT)
        self.value = nn.Linear(CONTEXT, CONTEXT)
        self.bias = nn.Embedding(N_DISTANCE_BINS, ATTENTION_HEADS)
        self.out = nn.Sequential(nn.LayerNorm(CONTEXT), nn.Linear(CONTEXT, HIDDEN))

    def forward(self, nuclei: Nuclei, which: Tensor) -> Tensor:
        """Hidden-layer contribution (m, H) of the neighbours of the nuclei ``which`` (m,)."""
        distance = nuclei.distance_px[which]
        near = self.neighbour(nuclei.features[nuclei.near[which]])
        shape = (len(which), -1, ATTENTION_HEADS, CONTEXT // ATTENTION_HEADS)
        query, key, value = (
            part.view(shape)
            for part in (self.query(nuclei.features[which]), self.key(near), self.value(near))
        )
        bins = (distance.clamp(min=0) / DISTANCE_BIN_PX).long().clamp(max=N_DISTANCE_BINS - 1)
        score = (query * key).sum(-1) / shape[-1] ** 0.5 + self.bias(bins)
        share = score.masked_fill((distance < 0)[..., None], -1e4).softmax(1)
        seen: Tensor = self.out((share[..., None] * value).sum(1).flatten(1))
        return seen * (distance >= 0).any(1, keepdim=True)


def main(
    data: Annotated[Path, typer.Option(help="Folder with the sets.")],
    work: Annotated[Path, typer.Option(help="Folder with sets and models.")],
    models: Annotated[
        str, typer.Option(help="Name of each model in WORK, with {site} for the hospital.")
    ],
    site: Annotated[list[str] | None, typer.Option(help="Evaluate this hospital only.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the heads.")] = 0,
    head_steps: Annotated[int, typer.Option(help="Training steps of the heads.")] = 1000,
) -> None:
    """Print a JSON line for each head."""
    prepared = prepare(data, work / "sets")
    f_avg: dict[str, dict[str, float]] = {"as trained": {}, "anew": {}, "with neighbours": {}}
    for left_out in site or BREAST_SITES:
        model = load_model(work / f"{models.format(site=left_out)}.safetensors")
        unseen = tiles_of(data, left_out)
        found = [detect(model, image) for image in unseen]
        of_class = [tile.class_probs for tile in found]
        f_avg["as trained"][left_out] = score(unseen, found, np.concatenate(of_class))
        nuclei = standardised([*taught_by(model, prepared, left_out), *map(_only_shown, found)])
        for name, context in (("anew", False), ("with neighbours", True)):
            probs = classify(learn(nuclei, context, head_steps, seed), nuclei)
            f_avg[name][left_out] = score(unseen, found, probs[-sum(map(len, of_class)) :])
    for name, sites in f_avg.items():
        print(
            json.dumps({"head": name, "sites": sites, "f_avg": float(np.mean([*sites.values()]))})
        )


@dataclass(frozen=True)
class Tile:
    """Detections of a network on a tile, see Nuclei; ``weight`` is 0 for nuclei not to train on."""

    xy: npt.NDArray[np.float32]
    class_probs: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    allowed: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float64]


def _only_shown(tile: Tile) -> Tile:
    """A tile that is not trained on."""
    return dataclasses.replace(tile, weight=np.zeros_like(tile.weight))


def taught_by(model: MuseModel, prepared: Prepared, site: str) -> Iterator[Tile]:
    """Training tiles of the heads; each set has the weight given by the recipe."""
    for name in TAUGHT_BY:
        images = read_points_folder(prepared.folder(name), MPP, prepared.split(name, (site,)).learn)
        tiles = [detect(model, image, SETS[name].class_map) for image in images]
        total = sum(tile.weight.sum() for tile in tiles)
        for tile in tiles:
            yield dataclasses.replace(tile, weight=tile.weight * SETS[name].weight / total)


@torch.inference_mode()
def detect(
    model: MuseModel,
    image: AnnotatedImage,
    class_map: Mapping[str, tuple[str, ...]] | None = None,
) -> Tile:
    """Detections of a model on an annotated tile, with the classes allowed by its annotation."""
    batch = image_batch([image.image], torch.device("cpu"))
    size = (batch.shape[-2], batch.shape[-1])
    with torch.autocast("cpu", torch.bfloat16):
        f_map, proposals = model(batch.contiguous(memory_format=torch.channels_last))
        found = model.detections(f_map, proposals, size)[0]
        xy = torch.from_numpy(np.float32(found.xy))
        features = model.backbone.sample(f_map, xy[None], size)[0]
    allowed = allowed_at(found.xy, image, class_map)
    told = (allowed.min(1) == 0).astype(np.float64)
    return Tile(xy.numpy(), found.class_probs, features.float().numpy(), allowed, told)


def standardised(tiles: Sequence[Tile]) -> Nuclei:
    """Concatenate the nuclei of several tiles, with features of mean 0 and standard deviation 1."""
    near, distance_px, first = [], [], 0
    for xy in (tile.xy for tile in tiles if len(tile.xy)):
        # The nearest neighbour is the nucleus itself.
        distance, index = cKDTree(xy).query(xy, N_NEIGHBOURS + 1, distance_upper_bound=REACH_PX)
        none = np.isinf(distance[:, 1:])
        near.append(np.where(none, np.arange(len(xy))[:, None], index[:, 1:]) + first)
        distance_px.append(np.where(none, -1.0, distance[:, 1:]))
        first += len(xy)
    features = torch.from_numpy(np.concatenate([tile.features for tile in tiles]))
    return Nuclei(
        (features - features.mean(0)) / (features.std(0) + 1e-3),
        torch.from_numpy(np.concatenate([tile.allowed for tile in tiles])),
        torch.from_numpy(np.concatenate(near)),
        torch.from_numpy(np.concatenate(distance_px).astype(np.float32)),
        np.concatenate([tile.weight for tile in tiles]),
    )


def learn(nuclei: Nuclei, context: bool, steps: int, seed: int) -> Head:
    """Train a head on the nuclei with positive weight, with the loss of partial labels."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    head = Head(nuclei.features.shape[1], context)
    told = np.flatnonzero(nuclei.weight)
    share = nuclei.weight[told] / nuclei.weight[told].sum()

    def logits_of_some() -> tuple[Tensor, Tensor]:
        which = torch.from_numpy(rng.choice(told, BATCH, p=share))
        return head(nuclei, which), nuclei.allowed[which]

    fit(head, logits_of_some, steps)
    return head


@torch.inference_mode()
def classify(head: Head, nuclei: Nuclei) -> npt.NDArray[np.float32]:
    """Class probabilities (n, K) of all nuclei."""
    parts = torch.arange(len(nuclei.features)).split(4096)
    return torch.cat([head(nuclei, part).softmax(1) for part in parts]).numpy()


def score(
    images: Sequence[AnnotatedImage], tiles: Sequence[Tile], probs: npt.NDArray[np.float32]
) -> float:
    """F avg of the nuclei of several tiles, with class probabilities in the order of the tiles."""
    names = np.array(CLASSES)[probs.argmax(1)].tolist()
    tables = []
    for tile in tiles:
        n = len(tile.xy)
        tables.append(nucleus_table(tile.xy[:, 0], tile.xy[:, 1], names[:n], np.ones(n)))
        del names[:n]
    return round(score_tables(images, tables, CLASSES).f_avg or 0.0, 4)


if __name__ == "__main__":
    typer.run(main)
