"""The losses of a training step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from muse_core.finetune.config import LossConfig
from muse_core.finetune.data.crop_dataset import CropBatch
from muse_core.finetune.data.sources import TrainingData
from muse_core.finetune.losses.consistency import PseudoLabels, consistency_loss
from muse_core.finetune.losses.distillation import TeacherAnswer, distillation_loss
from muse_core.finetune.losses.elementary import class_loss, class_weights
from muse_core.finetune.losses.partial_labels import partial_label_loss
from muse_core.finetune.losses.point_losses import point_losses
from muse_core.models.config import HeadConfig
from muse_core.models.heads import ClassHead, at_anchors
from muse_core.models.muse_model import MuseModel
from muse_core.models.point_features import features_by_image


@dataclass(frozen=True)
class Guidance:
    """What other networks say of a batch, beside its annotations.

    Attributes:
        pseudo: Pseudo-labels of the moving average for free tissue; None leaves L_cons out.
        consistency: Weight of L_cons.
        answer: The teacher's; None leaves L_distil out.
        distillation: Weight of L_distil.
    """

    pseudo: PseudoLabels | None = None
    consistency: float = 0.0
    answer: TeacherAnswer | None = None
    distillation: float = 0.0


@dataclass(frozen=True)
class StepLosses:
    """Losses of one step, scalars with gradient."""

    total: Tensor
    regression: Tensor
    nucleus: Tensor
    classes: Tensor
    consistency: Tensor
    distillation: Tensor


class FullLearner(nn.Module):
    """The model with further class heads, one for each other label set, used only in training."""

    def __init__(self, model: MuseModel, data: TrainingData, head: HeadConfig) -> None:
        super().__init__()
        self.model = model
        channels = model.backbone.out_channels
        self._allowed = data.allowed
        # Label sets without a map to the model's classes have a class head of their own.
        self.other_heads = nn.ModuleDict(
            {
                str(number): ClassHead(channels, len(names), head)
                for number, names in enumerate(data.label_sets)
                if number and data.allowed[number] is None
            }
        )
        self._weights = [class_weights(c) for c in data.counts]

    def losses(
        self,
        batch: CropBatch,
        config: LossConfig,
        generator: torch.Generator,
        guidance: Guidance | None = None,
    ) -> StepLosses:
        """Forward pass and losses of a batch on the model's device.

        Args:
            batch: Images already altered and on the device.
            config: Weights.
            generator: Source of randomness, on the CPU.
            guidance: Of other networks, if there are any.
        """
        guidance = guidance or Guidance()
        f_map, proposals = self.model(batch.image)
        regression, nucleus = point_losses(
            proposals, batch.xy, batch.weights, at_anchors(batch.known), config
        )
        classes = self._class_loss(f_map, batch, config, generator)
        total = config.regression * regression + config.nucleus * nucleus + config.classes * classes
        agreement = distilled = total.new_zeros(())
        if guidance.pseudo is not None:
            pseudo = guidance.pseudo
            logits = self._logits_at(f_map, pseudo.image, pseudo.xy, batch, generator)
            agreement = consistency_loss(
                proposals, logits, pseudo, self._weights[0], config.background
            )
        if guidance.answer is not None:
            answer = guidance.answer
            of, xy = answer.image, answer.nucleus_xy
            logits = self._logits_at(f_map, of, xy, batch, generator)
            distilled = distillation_loss(proposals, logits, answer, config)
        total = total + guidance.consistency * agreement + guidance.distillation * distilled
        return StepLosses(total, regression, nucleus, classes, agreement, distilled)

    def _logits_at(
        self,
        f_map: Tensor,
        image: Tensor,
        xy: Tensor,
        batch: CropBatch,
        generator: torch.Generator,
    ) -> Tensor:
        """Class logits (P, K) at points xy (P, 2) of images (P,)."""
        size = (batch.image.shape[-2], batch.image.shape[-1])
        features = features_by_image(self.model.backbone, f_map, image, xy, size)
        logits: Tensor = self.model.class_head(torch.cat(features), generator)
        return logits

    def _head(self, label_set: int) -> nn.Module:
        own_head = label_set and self._allowed[label_set] is None
        return self.other_heads[str(label_set)] if own_head else self.model.class_head

    def _class_loss(
        self, f_map: Tensor, batch: CropBatch, config: LossConfig, generator: torch.Generator
    ) -> Tensor:
        size = (batch.image.shape[-2], batch.image.shape[-1])
        xy = pad_sequence(batch.xy, batch_first=True)
        xy = xy + config.class_jitter_px * torch.randn(xy.shape, generator=generator)
        features = self.model.backbone.sample(f_map, xy.to(f_map.device), size)
        n_points = torch.tensor([len(points) for points in batch.xy])
        real = torch.arange(xy.shape[1]) < n_points[:, None]
        classes = pad_sequence(batch.classes, batch_first=True)
        weights = pad_sequence(batch.weights, batch_first=True)
        label_set = torch.tensor(batch.label_set)
        loss = f_map.new_zeros((), dtype=torch.float32)
        for number, allowed in enumerate(self._allowed):
            members = label_set == number
            chosen = real & members[:, None]
            if not chosen.any():
                continue
            logits = self._head(number)(features[chosen.to(features.device)], generator)
            labels = classes[chosen].to(logits.device)
            each = weights[chosen].to(logits.device)
            of_set = self._weights[number]
            loss = loss + members.float().mean() * (
                class_loss(logits, labels, of_set, config.label_smoothing, each)
                if allowed is None
                else partial_label_loss(
                    logits, labels, allowed, of_set, config.label_smoothing, each
                )
            )
        return loss
