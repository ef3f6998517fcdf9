"""Schedules by step: rates, decay, momentum and temperature (as in DINO)."""

from __future__ import annotations

from dataclasses import dataclass

from muse_core.pretrain.config import PretrainConfig
from muse_core.training.schedules import cosine

_REFERENCE_BATCH = 256


@dataclass(frozen=True)
class Rates:
    """The values of one optimiser step.

    Attributes:
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        teacher_momentum: How much of the teacher's weights an update keeps.
        teacher_temperature: Of the teacher's outputs.
        prototypes_frozen: Whether the heads' last layers stay as they are.
    """

    learning_rate: float
    weight_decay: float
    teacher_momentum: float
    teacher_temperature: float
    prototypes_frozen: bool


def rates_at(step: int, config: PretrainConfig) -> Rates:
    """The values of a step, counted from 0."""
    schedule, losses = config.schedule, config.losses
    epoch = step / schedule.epoch_steps
    done = step / schedule.steps
    peak = schedule.learning_rate * schedule.batch / _REFERENCE_BATCH
    # A warm-up never takes more than a fifth of a short run.
    warmup = min(schedule.warmup_epochs, schedule.epochs / 5)
    if epoch < warmup:
        rate = peak * (epoch + 1 / schedule.epoch_steps) / (warmup + 1 / schedule.epoch_steps)
    else:
        rate = cosine(
            (epoch - warmup) / (schedule.epochs - warmup), peak, schedule.final_learning_rate
        )
    rise = min(losses.teacher_warmup_epochs, schedule.epochs / 3)
    low, high = losses.teacher_temperature
    return Rates(
        learning_rate=rate,
        weight_decay=cosine(done, *schedule.weight_decay),
        teacher_momentum=cosine(done, *schedule.teacher_momentum),
        teacher_temperature=high if epoch >= rise else low + (high - low) * epoch / rise,
        prototypes_frozen=epoch < schedule.freeze_prototypes_epochs,
    )
