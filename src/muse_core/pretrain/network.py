"""Student and teacher: a backbone with a head for images and one for nuclei."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from muse_core.models.backbone import MuseBackbone
from muse_core.models.encoders import VitEncoder
from muse_core.pretrain.config import LossesConfig
from muse_core.pretrain.losses import DinoHead


class DistillationNetwork(nn.Module):
    """The network that is trained; the teacher is a copy of it."""

    def __init__(self, backbone: MuseBackbone, config: LossesConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.image_head = _head(backbone.cls_channels, config.prototypes_of_images, config)
        self.nucleus_head = _head(backbone.out_channels, config.prototypes, config)

    def forward(
        self, images: Sequence[Tensor], xy: Sequence[Tensor], valid: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Project views and the nuclei in them.

        Args:
            images: For each size of views (n_i, 3, S_i, S_i) float, RGB in 0..1.
            xy: For each size (n_i, N_i, 2) float, nuclei in pixels.
            valid: For each size (n_i, N_i) bool, which nuclei are no padding.

        Returns:
            Outputs of views (sum of n_i, K_image) and of valid nuclei (R, K), rows in order; and
            the features they are of, (sum of n_i, cls_channels) and (R, out_channels).
        """
        vectors, nuclei = [], []
        for group, points, real in zip(images, xy, valid, strict=True):
            f_map, f_cls = self.backbone(group)
            size = (group.shape[-2], group.shape[-1])
            vectors.append(f_cls)
            nuclei.append(self.backbone.sample(f_map, points, size)[real])
        f_cls, f_nucleus = torch.cat(vectors), torch.cat(nuclei)
        return self.image_head(f_cls), self.nucleus_head(f_nucleus), f_cls, f_nucleus

    def prototypes(self) -> tuple[nn.Parameter, nn.Parameter]:
        """The heads' last layers."""
        return self.image_head.prototypes, self.nucleus_head.prototypes


def _head(in_channels: int, n_outputs: int, config: LossesConfig) -> DinoHead:
    return DinoHead(
        in_channels,
        n_outputs,
        config.hidden_channels,
        config.bottleneck_channels,
        config.head_batch_norm,
    )


def make_teacher(student: DistillationNetwork) -> DistillationNetwork:
    """A copy that no gradient reaches."""
    return copy.deepcopy(student).requires_grad_(False)


def drop_blocks(student: DistillationNetwork, rate: float) -> None:
    """Let a ViT leave out blocks at random while it is trained; other encoders stay as they are."""
    if isinstance(student.backbone.encoder, VitEncoder):
        student.backbone.encoder.drop_blocks(rate)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the teacher's weights towards the student's.

    Statistics of norms are the teacher's own: it sees other views.

    Args:
        teacher: Changed in place.
        student: Of the same architecture.
        momentum: How much of the teacher stays, 0 to 1.
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)


def parameter_groups(student: nn.Module) -> list[dict[str, list[nn.Parameter]]]:
    """Weights that decay, then norms, biases and tokens that do not."""
    decayed = [p for p in student.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in student.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed}, {"params": others}]
