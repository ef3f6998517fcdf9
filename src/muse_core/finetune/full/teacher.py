"""The larger model that a run learns from beside the annotations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from muse_core.errors import UserError
from muse_core.finetune.config import DistillationConfig
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme


def load_teacher(
    config: DistillationConfig, classes: Sequence[str], mpp: float, device: torch.device
) -> MuseModel | None:
    """Load the teacher of a run, without gradients; None where it has none.

    Args:
        config: Names the file.
        classes: Names of the classes that are learnt.
        mpp: Microns per pixel of the crops.
        device: Where it computes.

    Raises:
        UserError: The file cannot be read, or the model has other classes or another MPP.
    """
    if config.teacher is None:
        return None
    teacher = load_model(config.teacher, device)
    known = ClassScheme.from_json(teacher.card.classes).names
    if tuple(known) != tuple(classes):
        raise UserError(
            f"The teacher {teacher.card.name} has the classes {', '.join(known)}, but"
            f" {', '.join(classes)} are learnt; they must be the same, in the same order."
        )
    if not math.isclose(teacher.card.mpp, mpp, rel_tol=1e-3):
        raise UserError(
            f"The teacher {teacher.card.name} works at {teacher.card.mpp:g} um/px, but this run at"
            f" {mpp:g} um/px."
        )
    torch.nn.utils.convert_conv2d_weight_memory_format(teacher, memory_format=torch.channels_last)
    return teacher.eval().requires_grad_(False)
