"""Training of the point pipeline on annotated images."""

from __future__ import annotations

from muse_core.finetune.config import FinetuneConfig, LabelSet
from muse_core.finetune.train import FinetuneResult, finetune

__all__ = ["FinetuneConfig", "FinetuneResult", "LabelSet", "finetune"]
