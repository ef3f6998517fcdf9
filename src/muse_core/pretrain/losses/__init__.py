"""The losses of self-distillation, as functions of projected tensors, without a network."""

from __future__ import annotations

from muse_core.pretrain.losses.centre import Centre
from muse_core.pretrain.losses.dino_head import DinoHead
from muse_core.pretrain.losses.dino_loss import dino_loss
from muse_core.pretrain.losses.nulo_loss import nulo_loss
from muse_core.pretrain.losses.sinkhorn import Sinkhorn

__all__ = ["Centre", "DinoHead", "Sinkhorn", "dino_loss", "nulo_loss"]
