"""The finetune job: points-folders in, a model file out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muse_core.errors import UserError
from muse_core.jobs.memory import peak_rss_mb
from muse_core.jobs.outcome import Outcome
from muse_core.jobs.output import check_writable
from muse_core.jobs.progress import Emit, ProgressReporter
from muse_core.jobs.specs import FinetuneJob, TrainSet

if TYPE_CHECKING:
    from muse_core.finetune import FinetuneConfig, LabelSet


def run_finetune(job: FinetuneJob, emit: Emit, should_cancel: Callable[[], bool]) -> Outcome:
    """Run a finetune job; emits "progress" for each step and "metrics" for each validation.

    Raises:
        UserError: Data, base model, device or output cannot be used.
    """
    from muse_core.models.card import read_card
    from muse_core.models.registry import resolve_model

    out = check_writable(job.out)
    for train_set in (*job.train, *((job.val,) if job.val else ())):
        if not Path(train_set.folder).is_dir():
            raise UserError(f"There is no folder {train_set.folder}.")
    base = resolve_model(job.model) if job.model else None
    if base is not None:
        read_card(base)
    emit(
        {"event": "progress", "done": 0, "total": 0, "message": "Reading the images", "eta_s": None}
    )

    from muse_core.finetune import finetune

    begin = time.perf_counter()
    result = finetune(
        _config(job, out, base),
        on_progress=ProgressReporter(emit),
        should_cancel=should_cancel,
        on_metrics=lambda figures: emit({"event": "metrics", **figures}),
    )
    if result.cancelled:
        kept = f"the best so far is in {result.path}" if result.path else "no model is written yet"
        message = f"Cancelled after {result.steps_done:,} of {job.steps:,} steps; {kept}."
    else:
        message = f"Trained for {result.steps_done:,} steps, written to {result.path}."
    figures: dict[str, Any] = {
        "model": str(result.path) if result.path else None,
        "metrics": result.metrics,
        "steps_done": result.steps_done,
        "seconds": round(time.perf_counter() - begin, 3),
        "peak_rss_mb": peak_rss_mb(),
    }
    return Outcome(result.cancelled, message, figures)


def _config(job: FinetuneJob, out: Path, base: Path | None) -> FinetuneConfig:
    from muse_core.finetune import FinetuneConfig
    from muse_core.models.config import BackboneConfig, ModelConfig

    backbone = BackboneConfig(encoder=job.encoder) if job.encoder else BackboneConfig()
    return FinetuneConfig(
        train=tuple(_label_set(s) for s in job.train),
        out=out,
        val=_label_set(job.val) if job.val else None,
        base=base,
        name=job.name,
        description=job.description,
        model=ModelConfig(backbone=backbone),
        mpp=job.model_mpp,
        steps=job.steps,
        batch=job.batch,
        learning_rate=job.learning_rate,
        validate_every=job.validate_every,
        seed=job.seed,
        device=job.device,
        resume=job.resume,
    )


def _label_set(train_set: TrainSet) -> LabelSet:
    from muse_core.finetune import LabelSet

    return LabelSet(
        Path(train_set.folder), train_set.mpp, train_set.weight, train_set.classes_count
    )
