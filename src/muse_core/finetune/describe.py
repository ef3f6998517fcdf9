"""Describe a run for the model card: settings and data, without private paths."""

from __future__ import annotations

import dataclasses

import torch

from muse_core.files import sha256_of
from muse_core.finetune.config import FinetuneConfig
from muse_core.models.card import read_card
from muse_core.models.device import computes_in_bfloat16
from muse_core.strict import plain_values
from muse_core.training.run_state import identity_of

_NOT_OF_TRAINING = ("out", "val", "workers", "resume", "resumable", "stores", "unlabeled")
_NO_SETTINGS = ("train", "base", "model", *_NOT_OF_TRAINING)
_NO_IDENTITY = ("name", "description", "device", *_NOT_OF_TRAINING)
"""Fields that do not influence training, and those that the digest of the data covers."""


def describe_run(config: FinetuneConfig, step: int, device: torch.device) -> dict[str, object]:
    """Settings of a run, the step that was kept and where it ran; folders by their last names."""
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in _NO_SETTINGS}
    # The format that cards have had from the first version on.
    settings["class_map"] = sorted(config.class_map.items())
    teacher = config.distillation.teacher
    if teacher is None:
        del settings["distillation"]
    else:
        settings["distillation"]["teacher"] = read_card(teacher).name
    folders = [
        {
            "folder": "/".join(f.folder.resolve().parts[-2:]),
            "mpp": f.mpp,
            "classes_count": f.classes_count,
            "class_map": None
            if f.class_map is None
            else {name: list(may_be) for name, may_be in f.class_map.items()},
            "exhaustive": f.exhaustive,
        }
        for f in config.train
    ]
    return {
        "data": folders,
        "kept_step": step,
        "settings": settings,
        "device": device.type,
        "precision": "bf16" if computes_in_bfloat16(device) else "float32",
        "torch": torch.__version__,
    }


def identity(config: FinetuneConfig, data_digest: str) -> str:
    """Return the identity of a run; a checkpoint with another identity is refused.

    Data count by their content and not by their path.
    """
    values = plain_values(config)
    for name in _NO_IDENTITY:
        values.pop(name)
    for folder in values["train"]:
        del folder["folder"], folder["names"]
    values["base"] = sha256_of(config.base) if config.base else None
    teacher = config.distillation.teacher
    if teacher is None:
        # Checkpoints from before there were teachers are resumed.
        del values["distillation"]
    else:
        values["distillation"]["teacher"] = sha256_of(teacher)
    return identity_of(values | {"data": data_digest})
