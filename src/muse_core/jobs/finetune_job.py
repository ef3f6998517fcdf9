"""The finetune job: points-folders and annotation stores in, a model file out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

from muse_core.finetune.checks import with_found_models
from muse_core.jobs.events import Emit, LossMeasured, MetricsMeasured, Progress
from muse_core.jobs.outcome import Outcome
from muse_core.jobs.peak_rss import peak_rss_mb
from muse_core.jobs.progress import ProgressReporter
from muse_core.jobs.specs import FinetuneJob

if TYPE_CHECKING:
    from muse_core.finetune import FinetuneResult
    from muse_core.finetune.holdout.evaluator import HoldoutFigures
    from muse_core.finetune.result import ValidationFigures

_LOSS_INTERVAL_S = 0.2


def run_finetune(job: FinetuneJob, emit: Emit, should_cancel: Callable[[], bool]) -> Outcome:
    """Run a finetune job.

    Emits Progress for each step, LossMeasured a few times a second, and MetricsMeasured for each
    validation; where there is a holdout, the first has step 0 and is the base model's.

    Raises:
        UserError: Data, base model, device or output cannot be used.
    """
    # Before torch is loaded, which takes seconds.
    with_found_models(job.config)
    emit(Progress(0, 0, "Reading the images"))

    from muse_core.finetune import Listener, finetune
    from muse_core.models.compiler_shim import compiler_left_out

    begin = time.perf_counter()
    listener = Listener(
        on_progress=ProgressReporter(emit),
        should_cancel=should_cancel,
        on_metrics=lambda figures: emit(MetricsMeasured(figures)),
        on_loss=_LossReporter(emit),
    )
    with compiler_left_out():
        result = finetune(job.config, listener)
    return _outcome(result, time.perf_counter() - begin)


class FinetuneFigures(TypedDict):
    """Figures of a run, as the job's last event and ``muse finetune --json`` give them.

    Attributes:
        model: File of the new model; None where it was cancelled before there was one.
        metrics: Of the kept weights, on what they were chosen by.
        before: Of the base model on the holdout; None without one.
        after: Of the kept weights on the holdout.
        data: What was learnt from, as in the model card.
        notes: Sentences for the user.
    """

    model: str | None
    metrics: ValidationFigures
    before: HoldoutFigures | None
    after: HoldoutFigures | None
    data: dict[str, object]
    steps_done: int
    steps: int
    seconds: float
    peak_rss_mb: float
    notes: list[str]


class _LossReporter:
    """Turns losses into events, at most five a second."""

    def __init__(self, emit: Emit, clock: Callable[[], float] = time.monotonic) -> None:
        self._emit = emit
        self._clock = clock
        self._emitted_at = float("-inf")

    def __call__(self, step: int, loss: float) -> None:
        now = self._clock()
        if now - self._emitted_at >= _LOSS_INTERVAL_S:
            self._emitted_at = now
            self._emit(LossMeasured(step, round(loss, 5)))


def _outcome(result: FinetuneResult, seconds: float) -> Outcome:
    if result.cancelled:
        kept = f"the best so far is in {result.path}" if result.path else "no model is written yet"
        message = f"Cancelled after {result.steps_done:,} of {result.steps:,} steps; {kept}."
    else:
        message = f"Trained for {result.steps_done:,} steps, written to {result.path}."
        message += _gain(result)
    figures: FinetuneFigures = {
        "model": str(result.path) if result.path else None,
        "metrics": result.metrics,
        "before": result.before,
        "after": result.after,
        "data": result.data,
        "steps_done": result.steps_done,
        "steps": result.steps,
        "seconds": round(seconds, 3),
        "peak_rss_mb": peak_rss_mb(),
        "notes": list(result.notes),
    }
    return Outcome(result.cancelled, message, figures)


def _gain(result: FinetuneResult) -> str:
    if result.before is None or result.after is None:
        return ""
    before, after = result.before, result.after
    figures = (
        ("F det", before["f_det"], after["f_det"]),
        ("F avg", before["f_avg"], after["f_avg"]),
    )
    parts = [
        f"{name} {old:.3f} before, {new:.3f} after"
        for name, old, new in figures
        if old is not None and new is not None
    ]
    return f" On the holdout fields: {'; '.join(parts)}."
