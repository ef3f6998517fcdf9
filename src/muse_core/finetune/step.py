"""One training step: from a batch to the losses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from muse_core.finetune.config import LossConfig
from muse_core.finetune.losses import class_loss, class_weights, nucleus_loss, regression_loss
from muse_core.finetune.matching import match_proposals
from muse_core.finetune.samples import Batch
from muse_core.finetune.sources import TrainingData
from muse_core.models.backbone import STRIDE_PX
from muse_core.models.config import HeadConfig
from muse_core.models.heads import ClassHead, Proposals
from muse_core.models.muse_model import MuseModel


@dataclass(frozen=True)
class StepLosses:
    """Losses of one step, scalars with gradient."""

    total: Tensor
    regression: Tensor
    nucleus: Tensor
    classes: Tensor


class Learner(nn.Module):
    """The model with the class heads of the other label sets, which only training has."""

    def __init__(self, model: MuseModel, data: TrainingData, head: HeadConfig) -> None:
        super().__init__()
        self.model = model
        channels = model.backbone.out_channels
        self.other_heads = nn.ModuleList(
            ClassHead(channels, len(names), head) for names in data.label_sets[1:]
        )
        self._weights = [class_weights(c) for c in data.counts]

    def losses(self, batch: Batch, config: LossConfig, generator: torch.Generator) -> StepLosses:
        """Forward pass and losses of a batch on the model's device.

        Args:
            batch: Images already altered and on the device.
            config: Weights.
            generator: Source of randomness, on the CPU.
        """
        f_map, proposals = self.model(batch.image)
        image, proposal, point = _match(batch, proposals, config)
        matched = torch.zeros_like(proposals.logit, dtype=torch.bool)
        matched[image, proposal] = True
        known = batch.known[:, STRIDE_PX // 2 :: STRIDE_PX, STRIDE_PX // 2 :: STRIDE_PX].flatten(1)
        nucleus = nucleus_loss(proposals.logit, matched, known, config.background)
        starts = np.cumsum([0] + [len(xy) for xy in batch.xy[:-1]])
        targets = torch.cat(batch.xy)[torch.from_numpy(starts)[image] + point]
        regression = regression_loss(
            proposals.xy[image, proposal], targets.to(proposals.xy.device), STRIDE_PX
        )
        classes = self._class_loss(f_map, batch, config, generator)
        total = config.regression * regression + config.nucleus * nucleus + config.classes * classes
        return StepLosses(total, regression, nucleus, classes)

    def _class_loss(
        self, f_map: Tensor, batch: Batch, config: LossConfig, generator: torch.Generator
    ) -> Tensor:
        size = (batch.image.shape[-2], batch.image.shape[-1])
        xy = pad_sequence(batch.xy, batch_first=True)
        xy = xy + config.class_jitter_px * torch.randn(xy.shape, generator=generator)
        features = self.model.backbone.sample(f_map, xy.to(f_map.device), size)
        n_points = torch.tensor([len(points) for points in batch.xy])
        real = torch.arange(xy.shape[1]) < n_points[:, None]
        classes = pad_sequence(batch.classes, batch_first=True)
        label_set = torch.tensor(batch.label_set)
        loss = f_map.new_zeros((), dtype=torch.float32)
        for number, head in enumerate([self.model.class_head, *self.other_heads]):
            members = label_set == number
            chosen = real & members[:, None]
            if not chosen.any():
                continue
            logits = head(features[chosen.to(features.device)])
            loss = loss + members.float().mean() * class_loss(
                logits,
                classes[chosen].to(logits.device),
                self._weights[number],
                config.label_smoothing,
            )
        return loss


def _match(batch: Batch, proposals: Proposals, config: LossConfig) -> tuple[Tensor, Tensor, Tensor]:
    found = match_proposals(
        proposals.anchor_xy.cpu().numpy(),
        proposals.xy.detach().cpu().numpy(),
        proposals.logit.detach().sigmoid().cpu().numpy(),
        [xy.numpy() for xy in batch.xy],
        config.match_px,
    )
    image, proposal, point = (torch.from_numpy(part) for part in found)
    return image, proposal, point
