"""Training of the point pipeline on annotated images and on reviewed fields."""

from __future__ import annotations

from muse_core.callable_package import make_callable
from muse_core.finetune.config import FinetuneConfig, LabelSet, StoreSource
from muse_core.finetune.full.train import finetune
from muse_core.finetune.result import FinetuneResult, Listener

__all__ = [
    "FinetuneConfig",
    "FinetuneResult",
    "LabelSet",
    "Listener",
    "StoreSource",
    "finetune",
]

make_callable(__name__, "muse_core.finetune.full.train", "finetune")
