"""Training of the point pipeline on annotated images and on reviewed fields.

Names are imported on first use, so that a configuration can be built without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from muse_core.callable_package import make_callable

if TYPE_CHECKING:
    from muse_core.finetune.config import FinetuneConfig
    from muse_core.finetune.full.train import finetune
    from muse_core.finetune.inputs import LabelSet, StoreSource, UnlabeledSource
    from muse_core.finetune.result import FinetuneResult, Listener

__all__ = [
    "FinetuneConfig",
    "FinetuneResult",
    "LabelSet",
    "Listener",
    "StoreSource",
    "UnlabeledSource",
    "finetune",
]

_MODULES = {
    "FinetuneConfig": "muse_core.finetune.config",
    "FinetuneResult": "muse_core.finetune.result",
    "LabelSet": "muse_core.finetune.inputs",
    "Listener": "muse_core.finetune.result",
    "StoreSource": "muse_core.finetune.inputs",
    "UnlabeledSource": "muse_core.finetune.inputs",
    "finetune": "muse_core.finetune.full.train",
}

make_callable(__name__, "muse_core.finetune.full.train", "finetune")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
