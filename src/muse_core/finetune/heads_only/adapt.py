"""Adapting a model's heads to reviewed fields on a frozen backbone, in seconds on a CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import nn

from muse_core.detect import choose_device
from muse_core.finetune.config import FinetuneConfig
from muse_core.finetune.data.field_data import FieldData, load_fields
from muse_core.finetune.describe import describe_run
from muse_core.finetune.heads_only.frozen import FrozenView, freeze
from muse_core.finetune.heads_only.frozen_detection import FrozenDetector
from muse_core.finetune.heads_only.frozen_step import HeadLosses, head_losses
from muse_core.finetune.holdout.evaluator import (
    Holdout,
    HoldoutFigures,
    HoldoutScore,
    for_curves,
)
from muse_core.finetune.holdout.fields import HoldoutFields
from muse_core.finetune.holdout.threshold import AS_GOOD
from muse_core.finetune.losses.elementary import class_weights
from muse_core.finetune.record import write_record
from muse_core.finetune.result import FinetuneResult, Listener, ValidationFigures
from muse_core.finetune.start import new_card, run_notes, with_classes
from muse_core.finetune.state import (
    Stateful,
    TrainState,
    checkpoint_of,
    require_finite,
)
from muse_core.models.card import read_card
from muse_core.models.checkpoint import as_saved, load_model, save_model
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme
from muse_core.training.schedules import one_cycle
from muse_core.training.seeding import seed_step

_WARMUP_SHARE = 0.1
_SHARE_OF_A_STEP = 0.1
"""In the moving average of the loss."""


def adapt(config: FinetuneConfig, listener: Listener) -> FinetuneResult:
    """Train the heads of ``config.base`` on fields and write the model to ``config.out``.

    Raises:
        UserError: Data, base model or checkpoint cannot be used, or the loss is no longer finite.
    """
    assert config.base is not None, "FinetuneConfig asks for a base in this mode"
    card = read_card(config.base)
    card.require_detector()
    known = ClassScheme.from_json(card.classes)
    data = load_fields(config, known, card.mpp, config.adapt.margin_px)
    run = _AdaptRun(config, data, load_model(config.base))
    before = run.prepare(listener)
    cancelled = run.train(listener)
    after = run.finish(before, cancelled)
    return FinetuneResult(
        path=config.out if run.state.best else None,
        metrics=run.state.best,
        steps_done=run.state.step,
        cancelled=cancelled,
        steps=config.steps,
        before=before,
        after=after,
        data=data.to_json(),
        notes=(*data.notes, *run_notes(config, data.scheme)),
    )


class _AdaptRun:
    """A run that trains the heads on the frozen network's outputs for the fields."""

    def __init__(self, config: FinetuneConfig, data: FieldData, base: MuseModel) -> None:
        self.config = config
        self.data = data
        self.device = choose_device(config.device, gradients=True)
        torch.manual_seed(config.seed)
        self.base = base.to(self.device)
        self.names = data.scheme.names
        model = with_classes(base, data.scheme, config.class_map).to(self.device)
        self.model = model.requires_grad_(False)
        self.heads = nn.ModuleList(
            [model.point_head.trunk[1], model.point_head.out, model.class_head]
        ).requires_grad_(True)
        self.weights = class_weights(torch.tensor(data.counts))
        self.views: list[FrozenView] = []
        self.holdout = Holdout(data.holdout)
        self.detectors: dict[HoldoutFields, FrozenDetector] = {}
        self.optimizer = torch.optim.AdamW(
            self.heads.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = one_cycle(self.optimizer, config.steps, _WARMUP_SHARE)
        parts: dict[str, Stateful] = {
            "heads": self.heads,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }
        self.checkpoint = checkpoint_of(config, data.digest(), parts)
        self.state = self.checkpoint.load() if config.resume else TrainState()

    def prepare(self, listener: Listener) -> HoldoutFigures | None:
        """Run the frozen network; returns the base's figures on the holdout fields."""
        before = None
        if self.holdout:
            for part in {self.holdout.choosing, self.holdout.reporting}:
                self.detectors[part] = FrozenDetector(self.model, part.fields)
            scored = self._score(self.base, self.config.class_map)
            listener.on_metrics({"step": 0, "loss": None, **for_curves(scored.chosen)})
            before = scored.figures
        self.views = freeze(
            self.model,
            self.data.train,
            self.names,
            self.config,
            listener.should_cancel,
            listener.on_progress,
        )
        return before

    def train(self, listener: Listener) -> bool:
        """Make the steps that are left; returns whether that was cancelled."""
        state, steps = self.state, self.config.steps
        while state.step < steps:
            if listener.should_cancel():
                return True
            loss = self._train_once()
            listener.on_progress(state.step, steps, f"loss {loss:.3f}")
            listener.on_loss(state.step, loss)
            if state.step % self.config.validate_every == 0 or state.step == steps:
                listener.on_metrics(self._validate())
                self.checkpoint.save(state)
        return False

    def finish(self, before: HoldoutFigures | None, cancelled: bool) -> HoldoutFigures | None:
        """Write the best heads with their figures; returns these where there is a holdout."""
        after = None
        if self.state.best:
            kept = load_model(self.config.out).to(self.device)
            after = self._score(kept, {}).figures if self.holdout else None
            metrics = {"validation": self.state.best, "before": before, "after": after}
            kept.card = dataclasses.replace(kept.card, metrics=metrics)
            save_model(kept, self.config.out)
        # Last, so that a run that is killed while its model is measured is resumed.
        if not cancelled:
            self.checkpoint.remove()
        return after

    def _train_once(self) -> float:
        generator = seed_step(self.config.seed, self.state.step)
        self.model.class_head.train()
        losses: HeadLosses = head_losses(
            self.model, self.views, self.weights, self.config, generator
        )
        value = require_finite(losses.total, self.state.step)
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        self.optimizer.step()
        self.schedule.step()
        self.model.class_head.eval()
        self.state.count(value, _SHARE_OF_A_STEP)
        return value

    def _validate(self) -> ValidationFigures:
        threshold = self.base.card.score_threshold
        at: ValidationFigures = {"threshold": threshold}
        if self.holdout:
            tables = self.detectors[self.holdout.choosing].detect(as_saved(self.model))
            at = self.holdout.choosing.best(tables, self.names, threshold).figures
        figures: ValidationFigures = {**self.state.figures(), **at}
        # Later heads have settled, and the few holdout fields tell no small differences apart.
        if self.state.keep(figures, tolerance=AS_GOOD):
            self._write_model(figures)
        return figures

    def _score(self, model: MuseModel, names: Mapping[str, str]) -> HoldoutScore:
        return self.holdout.score(
            model.card, lambda fields: self.detectors[fields].detect(model), names
        )

    def _write_model(self, figures: ValidationFigures) -> None:
        base = self.base.card
        self.model.card = dataclasses.replace(
            new_card(self.config, self.data.scheme),
            architecture=base.architecture,
            mpp=base.mpp,
            fov_px=base.fov_px,
            score_threshold=figures["threshold"],
            metrics={"validation": figures},
            parent=base.name,
            training=describe_run(self.config, figures["step"], self.device) | self.data.to_json(),
        )
        save_model(self.model, self.config.out)
        write_record(self.config)
