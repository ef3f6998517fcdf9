"""Gives a trained model a class head that also uses the surroundings of a nucleus.

The model's detections on its training tiles, with the classes annotated there, are used to train a
second class head that reads the mean of the feature map around a nucleus in addition to the
nucleus' own features (muse_core.models.surroundings). The logits of both heads are averaged: alone,
the second is better at one left-out hospital and worse at another. Detection is unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import torch
from label_sets import CLASSES, MPP, SETS, Prepared
from torch import Tensor, nn
from torch.nn import functional

from muse_core.data.class_map import allows
from muse_core.data.points_folder import AnnotatedImage, read_points_folder
from muse_core.errors import UserError
from muse_core.evaluate.matching import MATCH_RADIUS_UM, match_points
from muse_core.finetune.losses.partial_labels import partial_label_loss
from muse_core.models.config import ModelConfig
from muse_core.models.heads import ClassHead
from muse_core.models.muse_model import MuseModel
from muse_core.models.point_features import image_batch
from muse_core.models.surroundings import Surroundings, mean_around

TAUGHT_BY = ("brcam2c", "ocelot", "consep", "crchisto", "monusac")
ADDED_CHANNELS, REACH_PX, HIDDEN = 64, 96, 128
STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 600, 512, 1e-3, 1e-2
DROPOUT, SURROUNDINGS_DROPPED = 0.3, 0.3
LABEL_SMOOTHING = 0.05 / 1.05
"""Share of the loss, in a ratio of 0.05 to 1 to that of the labels."""
SHARE = 0.5
"""Weight of the second head's logits."""


@dataclass(frozen=True)
class Told:
    """Detected nuclei about whose class annotations say something.

    Attributes:
        own: (n, C) float32, their features.
        around: (n, C) float32, mean of the map around them.
        allowed: (n, K) float32, 1 for the classes that annotations allow.
        weight: (n,) float64, relative sampling frequency.
    """

    own: Tensor
    around: Tensor
    allowed: Tensor
    weight: Tensor


class SecondHead(nn.Module):
    """Class head on the features of a nucleus and the mean around it, both standardised."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(channels, ADDED_CHANNELS)
        self.own = nn.Linear(channels, HIDDEN)
        self.around = nn.Linear(ADDED_CHANNELS, HIDDEN, bias=False)
        self.out = nn.Linear(HIDDEN, len(CLASSES))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, own: Tensor, around: Tensor) -> Tensor:
        """Logits (n, K)."""
        seen = self.around(functional.gelu(self.project(self.dropout(around))))
        if self.training:
            seen = seen * (torch.rand(len(seen), 1) > SURROUNDINGS_DROPPED)
        hidden = functional.gelu(self.own(self.dropout(own)) + seen)
        logits: Tensor = self.out(self.dropout(hidden))
        return logits


def with_surroundings(
    model: MuseModel, prepared: Prepared, seed: int, without_sites: Collection[str] = ()
) -> MuseModel:
    """Return the model with a class head that uses the surroundings.

    Args:
        model: A model of CLASSES that was trained on the sets, without surroundings.
        prepared: The sets.
        seed: Seed of all random numbers.
        without_sites: Hospitals excluded from training.

    Raises:
        UserError: The model detects no annotated nucleus.
    """
    parts = [t for name in TAUGHT_BY for t in _of_set(model, prepared, name, without_sites)]
    told = Told(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Told)))
    if not len(told.own):
        raise UserError("The model finds none of the annotated nuclei; it needs more steps.")
    return joined(model, *_learn(told, seed))


def _of_set(
    model: MuseModel, prepared: Prepared, name: str, without_sites: Collection[str]
) -> list[Told]:
    """Labelled nuclei of a set's tiles, whose weights add up to the set's weight in the recipe."""
    names = prepared.split(name, without_sites).learn
    images = read_points_folder(prepared.folder(name), MPP, names)
    tiles = list(told_of(model, images, SETS[name].class_map))
    total = float(sum(tile.weight.sum() for tile in tiles))
    return [replace(tile, weight=tile.weight * SETS[name].weight / total) for tile in tiles]


def told_of(
    model: MuseModel,
    images: Collection[AnnotatedImage],
    class_map: Mapping[str, tuple[str, ...]] | None,
) -> Iterator[Told]:
    """Labelled nuclei of each image, with a weight of 1."""
    for image in images:
        own, around, xy = _detected(model, image)
        allowed = allowed_at(xy, image, class_map)
        told = torch.from_numpy(allowed.min(1) == 0)
        n = int(told.sum())
        yield Told(own[told], around[told], torch.from_numpy(allowed)[told], torch.ones(n).double())


def allowed_at(
    xy: np.ndarray, image: AnnotatedImage, class_map: Mapping[str, tuple[str, ...]] | None
) -> npt.NDArray[np.float32]:
    """Return the classes that an image's annotations allow for detected nuclei.

    Args:
        xy: (n, 2) pixels of the nuclei.
        image: The image.
        class_map: Candidate classes of the image's classes; None if they are the model's.

    Returns:
        (n, K) float32, 1 for allowed classes: all, if no annotation is near.
    """
    allowed = np.ones((len(xy), len(CLASSES)), np.float32)
    for i, j in match_points(xy, image.xy, MATCH_RADIUS_UM / MPP):
        name = image.class_names[j]
        allowed[i] = allows((name,) if class_map is None else class_map[name], CLASSES)
    return allowed


@torch.inference_mode()
def _detected(model: MuseModel, image: AnnotatedImage) -> tuple[Tensor, Tensor, np.ndarray]:
    """Features at the nuclei, the mean of the map around them, and their positions."""
    batch = image_batch([image.image], torch.device("cpu"))
    size = (batch.shape[-2], batch.shape[-1])
    backbone = model.backbone
    with torch.autocast("cpu", torch.bfloat16):
        f_map, proposals = model(batch.contiguous(memory_format=torch.channels_last))
    xy = model.detections(f_map.float(), proposals, size)[0].xy
    around = mean_around(f_map.float(), REACH_PX, backbone.map_stride_px)
    places = torch.from_numpy(np.float32(xy))[None]
    own, means = (backbone.sample(m, places, size)[0] for m in (f_map.float(), around))
    return own.clone(), means.clone(), xy


Moments = tuple[Tensor, Tensor]
"""Mean and standard deviation of each channel."""


def _learn(told: Told, seed: int) -> tuple[SecondHead, Moments, Moments]:
    """A class head, with mean and standard deviation of its training inputs."""
    torch.manual_seed(seed)
    of_own, of_around = _moments(told.own), _moments(told.around)
    own, around = (told.own - of_own[0]) / of_own[1], (told.around - of_around[0]) / of_around[1]
    head = SecondHead(own.shape[1])

    def logits_of_some() -> tuple[Tensor, Tensor]:
        which = torch.multinomial(told.weight, BATCH, replacement=True)
        return head(own[which], around[which]), told.allowed[which]

    fit(head, logits_of_some, STEPS)
    return head, of_own, of_around


def fit(head: nn.Module, logits_of_some: Callable[[], tuple[Tensor, Tensor]], steps: int) -> None:
    """Train a head with the loss of partial labels; it ends in evaluation mode.

    Args:
        head: In training mode.
        logits_of_some: Draws nuclei, and returns their logits (n, K) and allowed classes (n, K).
        steps: Optimiser steps.
    """
    optimiser = torch.optim.AdamW(head.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        logits, allowed = logits_of_some()
        each, alike = torch.arange(len(logits)), torch.ones(len(logits))
        loss = partial_label_loss(logits, each, allowed > 0, alike, smoothing=LABEL_SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    head.eval()


def _moments(values: Tensor) -> Moments:
    return values.mean(0), values.std(0) + 1e-3


def _folded(layer: nn.Linear, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer with the standardisation of its input folded in."""
    weight = layer.weight / deviation
    return weight, layer.bias - weight @ mean


@torch.no_grad()
def joined(
    model: MuseModel,
    second: SecondHead,
    of_own: Moments,
    of_around: Moments,
) -> MuseModel:
    """Return the model with both heads, combined into one head with a wider hidden layer.

    Args:
        model: A model with the first head, without surroundings.
        second: The second head.
        of_own: Standardisation of its first input.
        of_around: Standardisation of its second input.
    """
    old = ModelConfig.from_json(model.card.architecture)
    n_old = model.class_head.hidden.out_features
    architecture = ModelConfig(
        replace(old.backbone, surroundings_channels=ADDED_CHANNELS, surroundings_reach_px=REACH_PX),
        replace(old.head, class_hidden_channels=n_old + HIDDEN),
    )
    training = model.card.training | {"surroundings": {"share": SHARE, "steps": STEPS}}
    card = replace(model.card, architecture=architecture.to_json(), metrics={}, training=training)
    wide = MuseModel(card).eval()
    wide.load_state_dict(
        {k: v for k, v in model.state_dict().items() if not k.startswith("class_head.")},
        strict=False,
    )
    surroundings = wide.backbone.surroundings
    assert isinstance(surroundings, Surroundings)
    weight, bias = _folded(second.project, *of_around)
    surroundings.project.load_state_dict({"weight": weight[:, :, None, None], "bias": bias})
    _fill(wide.class_head, model.class_head, second, of_own)
    return wide


def _fill(wide: ClassHead, first: ClassHead, second: SecondHead, of_own: Moments) -> None:
    n, channels = first.hidden.out_features, first.hidden.in_features
    weight, bias = _folded(second.own, *of_own)
    wide.hidden.weight.zero_()
    wide.hidden.weight[:n, :channels] = first.hidden.weight
    wide.hidden.weight[n:, :channels] = weight
    wide.hidden.weight[n:, channels:] = second.around.weight
    wide.hidden.bias.copy_(torch.cat([first.hidden.bias, bias]))
    wide.out.weight.copy_(
        torch.cat([(1 - SHARE) * first.out.weight, SHARE * second.out.weight], dim=1)
    )
    wide.out.bias.copy_((1 - SHARE) * first.out.bias + SHARE * second.out.bias)
