"""The finetune job: points-folders and annotation stores in, a model file out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from muse_core.errors import UserError
from muse_core.files import check_writable
from muse_core.jobs.events import Emit, LossMeasured, MetricsMeasured, Progress
from muse_core.jobs.outcome import Outcome
from muse_core.jobs.peak_rss import peak_rss_mb
from muse_core.jobs.progress import ProgressReporter
from muse_core.jobs.specs import FinetuneJob, TrainSet

if TYPE_CHECKING:
    from muse_core.finetune import FinetuneConfig, FinetuneResult, LabelSet
    from muse_core.models.config import ModelConfig

_LOSS_INTERVAL_S = 0.2
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Defaults:
    """Settings of a run where the job does not say."""

    steps: int
    learning_rate: float
    validate_every: int
    batch: int = 8
    sample_px: int = 256
    backbone_rate: float = 1.0


_FROM_FOLDERS = _Defaults(3000, 2e-3, 500)
_FROM_STORES = _Defaults(150, 5e-4, 30, batch=2, sample_px=512, backbone_rate=0.1)
_ADAPT = _Defaults(200, 5e-4, 40)


def run_finetune(job: FinetuneJob, emit: Emit, should_cancel: Callable[[], bool]) -> Outcome:
    """Run a finetune job.

    Emits Progress for each step, LossMeasured a few times a second, and MetricsMeasured for each
    validation; where there is a holdout, the first has step 0 and is the base model's.

    Raises:
        UserError: Data, base model, device or output cannot be used.
    """
    from muse_core.models.card import read_card
    from muse_core.models.registry import resolve_model

    out = check_writable(job.out, read_again=True)
    _check_inputs(job)
    base = resolve_model(job.model) if job.model else None
    if base is not None:
        read_card(base)
        if out.exists() and out.samefile(base):
            raise UserError(f"Cannot write {out}: it is the model to start from.")
    emit(Progress(0, 0, "Reading the images"))

    from muse_core.finetune import Listener, finetune

    begin = time.perf_counter()
    listener = Listener(
        on_progress=ProgressReporter(emit),
        should_cancel=should_cancel,
        on_metrics=lambda figures: emit(MetricsMeasured(figures)),
        on_loss=_LossReporter(emit),
    )
    result = finetune(_config(job, out, base), listener)
    return _outcome(result, time.perf_counter() - begin)


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


def _check_inputs(job: FinetuneJob) -> None:
    for train_set in (*job.train, *((job.val,) if job.val else ())):
        if not Path(train_set.folder).is_dir():
            raise UserError(f"There is no folder {train_set.folder}.")
    for source in job.annotations:
        if not Path(source.store).is_file():
            raise UserError(f"There is no annotation store {source.store}.")


def _outcome(result: FinetuneResult, seconds: float) -> Outcome:
    if result.cancelled:
        kept = f"the best so far is in {result.path}" if result.path else "no model is written yet"
        message = f"Cancelled after {result.steps_done:,} of {result.steps:,} steps; {kept}."
    else:
        message = f"Trained for {result.steps_done:,} steps, written to {result.path}."
        message += _gain(result)
    figures: dict[str, Any] = {
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
    parts = [
        f"{name} {result.before[key]:.3f} before, {result.after[key]:.3f} after"
        for name, key in (("F det", "f_det"), ("F avg", "f_avg"))
        if result.before[key] is not None and result.after[key] is not None
    ]
    return f" On the holdout fields: {'; '.join(parts)}."


def _config(job: FinetuneJob, out: Path, base: Path | None) -> FinetuneConfig:
    from muse_core.finetune import FinetuneConfig, StoreSource
    from muse_core.finetune.config import ConsistencyConfig, UnlabeledSource, ViewConfig

    defaults = _defaults(job)
    return FinetuneConfig(
        train=tuple(_label_set(s) for s in job.train),
        out=out,
        val=_label_set(job.val) if job.val else None,
        base=base,
        name=job.name,
        description=job.description,
        model=_network(job.encoder),
        mpp=job.model_mpp,
        steps=_given(job.steps, defaults.steps),
        batch=_given(job.batch, defaults.batch),
        learning_rate=_given(job.learning_rate, defaults.learning_rate),
        validate_every=_given(job.validate_every, defaults.validate_every),
        seed=job.seed,
        device=job.device,
        workers=job.workers,
        resume=job.resume,
        stores=tuple(
            StoreSource(
                Path(s.store),
                Path(s.slide) if s.slide else None,
                s.mpp,
                s.force_mpp,
                s.channels,
            )
            for s in job.annotations
        ),
        mode=job.mode,
        class_map=tuple(sorted((job.class_map or {}).items())),
        correction_weight=job.correction_weight,
        views=ViewConfig(crop_px=_given(job.sample_px, defaults.sample_px)),
        unlabeled=tuple(UnlabeledSource(Path(u.path), u.mpp, u.force_mpp) for u in job.unlabeled),
        backbone_rate=_given(job.backbone_rate, defaults.backbone_rate),
        consistency=ConsistencyConfig(weight=_consistency(job), own_slides=job.own_slides),
    )


def _network(encoder: str | None) -> ModelConfig:
    from muse_core.models.config import THIN, BackboneConfig, ModelConfig

    if encoder == "thin":
        return THIN
    return ModelConfig(BackboneConfig(encoder=encoder) if encoder else BackboneConfig())


def _consistency(job: FinetuneJob) -> float:
    there_is_any = bool(job.annotations or job.unlabeled) and job.mode == "full"
    return _given(job.consistency, 1.0 if there_is_any else 0.0)


def _given(value: _T | None, default: _T) -> _T:
    return default if value is None else value


def _defaults(job: FinetuneJob) -> _Defaults:
    if job.mode == "adapt":
        return _ADAPT
    return _FROM_STORES if job.annotations else _FROM_FOLDERS


def _label_set(train_set: TrainSet) -> LabelSet:
    from muse_core.finetune import LabelSet

    of_set = train_set.class_map
    return LabelSet(
        Path(train_set.folder),
        train_set.mpp,
        train_set.weight,
        train_set.classes_count,
        class_map=None if of_set is None else tuple((k, tuple(v)) for k, v in of_set.items()),
        exhaustive=train_set.exhaustive,
    )
