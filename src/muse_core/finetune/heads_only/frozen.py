"""Outputs of a frozen network on fields, computed once for several views of each.

The output of the point head's first convolution and the features of the nuclei are kept. They are
all that training the heads needs, at a hundredth of the cost of a pass through the network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from muse_core.detect.config import ALIGN_PX
from muse_core.evaluate.matching import MATCH_RADIUS_UM
from muse_core.finetune.config import AdaptConfig, FinetuneConfig
from muse_core.finetune.data.appearance import alter_appearance
from muse_core.finetune.data.fields import Field
from muse_core.models.backbone import STRIDE_PX
from muse_core.models.device import autocast_for
from muse_core.models.heads import PointHead, Proposals, at_anchors
from muse_core.models.muse_model import MuseModel
from muse_core.models.point_features import image_batch
from muse_core.progress import OnProgress

_MEGAPIXEL = 1e6


@dataclass(frozen=True, eq=False)
class FrozenView:
    """Output of the frozen network on a view of a field; N anchors, M nuclei, J places each.

    Attributes:
        trunk: (C, h, w) float16, the point head's first convolution, before its norm.
        known: (N,) bool, anchors over annotated tissue.
        anchor_weight: (N,) float32, more where a person has removed a detection.
        xy: (M, 2) float32, pixels of the view.
        classes: (M,) int64.
        weights: (M,) float32.
        features: (M, J, D) float16, features at and around each nucleus.
    """

    trunk: Tensor
    known: Tensor
    anchor_weight: Tensor
    xy: Tensor
    classes: Tensor
    weights: Tensor
    features: Tensor


def views_for(fields: Sequence[Field], config: AdaptConfig) -> int:
    """Return how many views of each field fit the budget of pixels, 1 to ``config.most_views``."""
    megapixels = sum(f.image.shape[0] * f.image.shape[1] for f in fields) / _MEGAPIXEL
    fitting = int(config.megapixels / max(megapixels, 1e-9))
    return int(np.clip(fitting, 1, config.most_views))


def freeze(
    model: MuseModel,
    fields: Sequence[Field],
    class_names: Sequence[str],
    config: FinetuneConfig,
    should_cancel: Callable[[], bool],
    on_progress: OnProgress,
) -> list[FrozenView]:
    """Run the frozen network over views of the fields.

    The first view of each field is the field itself, the others are turned, flipped and differently
    stained.

    Args:
        model: On its device, in evaluation mode.
        fields: At the model's resolution.
        class_names: Of the new model.
        config: Used are ``adapt`` (budget of pixels, places around a nucleus), ``views`` (strength
            of the stain jitter), ``correction_weight`` (of background where a person has removed a
            detection) and ``seed``.
        should_cancel: Asked before each view; the views done until then are returned.
        on_progress: Called with views done, views in all, and a message.
    """
    generator = torch.Generator().manual_seed(config.seed)
    count = views_for(fields, config.adapt)
    frozen: list[FrozenView] = []
    # View by view, so that a run that is stopped early has something of every field.
    for number in range(count):
        for field in fields:
            if should_cancel():
                return frozen
            view = turned(field, number % 4, number // 4 % 2 == 1)
            image = image_batch([padded(view)[0]], next(model.parameters()).device)
            if number:
                image = alter_appearance(image, config.views, generator)
            places = _places(view, config.adapt, generator)
            weight = config.correction_weight
            frozen.append(_freeze_one(model, view, image, places, class_names, weight))
            on_progress(len(frozen), count * len(fields), "Looking at the fields")
    return frozen


def turned(field: Field, quarter_turns: int, flip: bool) -> Field:
    """A field mirrored from left to right if asked, then turned by quarters, counterclockwise."""
    height, width = field.image.shape[:2]

    def move(xy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        x, y = xy[:, 0], xy[:, 1]
        h, w = height, width
        if flip:
            x = w - x
        for _ in range(quarter_turns):
            x, y, h, w = y, w - x, w, h
        return np.stack([x, y], axis=1).astype(np.float32)

    def turn(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        mirrored = pixels[:, ::-1] if flip else pixels
        return np.ascontiguousarray(np.rot90(mirrored, quarter_turns))

    return dataclasses.replace(
        field,
        image=turn(field.image),
        known=turn(field.known),
        xy=move(field.xy),
        ignored_xy=move(field.ignored_xy),
        rejected_xy=move(field.rejected_xy),
        holdout_mask=turn(field.holdout_mask),
    )


def padded(field: Field) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Image and ``known``, padded to multiples of the network's stride; padding is not known."""
    height, width = field.image.shape[:2]
    extra = ((0, -height % ALIGN_PX), (0, -width % ALIGN_PX))
    mode = "reflect" if min(height, width) > ALIGN_PX else "edge"
    image = np.pad(field.image, (*extra, (0, 0)), mode=mode)  # type: ignore[call-overload]
    return image, np.pad(field.known, extra)


def propose(head: PointHead, trunk: Tensor) -> Proposals:
    """Apply the rest of the point head to its first convolution's output, (B, C, h, w) float32."""
    _, norm, activation = head.trunk
    return head.proposals(activation(norm(trunk)))


def _places(field: Field, config: AdaptConfig, generator: torch.Generator) -> Tensor:
    """(M, J, 2) pixels, each nucleus itself and places around it."""
    jitter = torch.randn(len(field.xy), config.places, 2, generator=generator)
    jitter[:, 0] = 0
    return torch.from_numpy(field.xy)[:, None] + config.place_jitter_px * jitter


@torch.inference_mode()
def _freeze_one(
    model: MuseModel,
    field: Field,
    image: Tensor,
    places: Tensor,
    class_names: Sequence[str],
    correction_weight: float,
) -> FrozenView:
    with autocast_for(image.device):
        f_map, _ = model.backbone(image.to(memory_format=torch.channels_last))
        trunk = model.point_head.trunk[0](model.point_head.seen(f_map))
    size = (image.shape[-2], image.shape[-1])
    features = model.backbone.sample(f_map, places.reshape(1, -1, 2).to(image.device), size)[0]
    known = padded(field)[1]
    return FrozenView(
        trunk=trunk[0].half().cpu(),
        known=at_anchors(torch.from_numpy(known)[None])[0],
        anchor_weight=torch.from_numpy(_weights_of_anchors(field, known.shape, correction_weight)),
        xy=torch.from_numpy(field.xy),
        classes=torch.tensor([class_names.index(n) for n in field.class_names], dtype=torch.long),
        weights=torch.from_numpy(field.weights),
        features=features.half().cpu().view(*places.shape[:2], features.shape[-1]),
    )


def _weights_of_anchors(
    field: Field, shape: tuple[int, ...], correction_weight: float
) -> npt.NDArray[np.float32]:
    """(N,) weights: where a detection was removed, background counts as a correction."""
    rows = (np.arange(shape[0] // STRIDE_PX) + 0.5) * STRIDE_PX
    columns = (np.arange(shape[1] // STRIDE_PX) + 0.5) * STRIDE_PX
    weight = np.ones((len(rows), len(columns)), dtype=np.float32)
    for x, y in field.rejected_xy:
        near = np.hypot(columns[None, :] - x, rows[:, None] - y) <= MATCH_RADIUS_UM / field.mpp
        weight[near] = correction_weight
    return weight.reshape(-1)
