"""Events and result of a fine-tuning run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from muse_core.progress import OnProgress

if TYPE_CHECKING:
    from muse_core.finetune.holdout.evaluator import HoldoutFigures


class ValidationFigures(TypedDict, total=False):
    """Figures of a validation; those of detection where there is something to score on.

    Attributes:
        step: Steps made.
        loss: Moving average; None before the first step.
        quality: Objective that the best weights are chosen by.
        threshold: Score from which a proposal counts, 0 to 1.
    """

    step: int
    loss: float | None
    f_det: float
    f_avg: float | None
    f_class: dict[str, float | None] | None
    n_images: int
    precision_det: float
    recall_det: float
    radius_um: float
    quality: float
    threshold: float


Metrics = Callable[[ValidationFigures], None]


@dataclass(frozen=True)
class FinetuneResult:
    """Result of a fine-tuning: model file, figures before and after, notes.

    Attributes:
        path: The model file, or None if the run was cancelled before its first validation.
        metrics: Figures of the kept weights on the validation images or holdout fields.
        steps_done: Optimiser steps made, over all resumptions.
        cancelled: Whether the run was cancelled; the best so far is kept.
        steps: Number of steps that were planned.
        before: Figures of the base model on the holdout fields; None without a base or a holdout.
        after: Figures of the kept weights, in the form of ``before``.
        data: What the run learnt from, as in the model card.
        notes: Sentences for the user.
    """

    path: Path | None
    metrics: ValidationFigures
    steps_done: int
    cancelled: bool
    steps: int = 0
    before: HoldoutFigures | None = None
    after: HoldoutFigures | None = None
    data: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listener:
    """Callbacks of a run.

    Attributes:
        on_progress: Called with (done, total, message).
        should_cancel: Asked between steps.
        on_metrics: Called after each validation with step, loss, f_det, f_avg, threshold and more.
        on_loss: Called after each step with the step and its loss.
    """

    on_progress: OnProgress = lambda done, total, message: None
    should_cancel: Callable[[], bool] = lambda: False
    on_metrics: Metrics = lambda figures: None
    on_loss: Callable[[int, float], None] = lambda step, loss: None
