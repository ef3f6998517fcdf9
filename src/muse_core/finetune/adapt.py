"""Adapting a model's heads to reviewed fields on a frozen backbone, in seconds on a CPU."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from muse_core.detect import choose_device
from muse_core.errors import UserError
from muse_core.finetune.config import FinetuneConfig
from muse_core.finetune.describe import describe, fingerprint
from muse_core.finetune.field_data import FieldData, load_fields
from muse_core.finetune.frozen import FrozenView, freeze
from muse_core.finetune.frozen_detection import FrozenDetector
from muse_core.finetune.frozen_step import HeadLosses, head_losses
from muse_core.finetune.held_out import HeldOutFields, for_curves
from muse_core.finetune.losses import class_weights
from muse_core.finetune.result import FinetuneResult, Listener
from muse_core.finetune.start import new_card, with_classes
from muse_core.finetune.state import load_state, save_state
from muse_core.finetune.threshold import AS_GOOD
from muse_core.models.card import read_card
from muse_core.models.checkpoint import load_model, save_model
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme


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
        path=config.out if run.best else None,
        metrics=run.best,
        steps_done=run.step,
        cancelled=cancelled,
        steps=config.steps,
        before=before,
        after=after,
        data=data.to_json(),
        notes=data.notes,
    )


class _AdaptRun:
    """Heads in training on what the frozen network made of the fields."""

    def __init__(self, config: FinetuneConfig, data: FieldData, base: MuseModel) -> None:
        self.config = config
        self.data = data
        self.device = choose_device(config.device)
        torch.manual_seed(config.seed)
        self.base = base.to(self.device)
        self.names = data.scheme.names
        model = with_classes(base, data.scheme, dict(config.class_map)).to(self.device)
        self.model = model.requires_grad_(False)
        self.heads = nn.ModuleList(
            [model.point_head.trunk[1], model.point_head.out, model.class_head]
        ).requires_grad_(True)
        self.weights = class_weights(torch.tensor(data.counts))
        self.views: list[FrozenView] = []
        self.held: FrozenDetector | None = None
        self.fields = HeldOutFields(data.held_back)
        self.optimizer = torch.optim.AdamW(
            self.heads.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = OneCycleLR(
            self.optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.1
        )
        self.step = 0
        self.recent_loss = 0.0
        self.best: dict[str, Any] = {}
        self.top = 0.0
        self.fingerprint = fingerprint(config, data.digest())
        self.state_path = config.out.with_suffix(".checkpoint")
        if config.resume:
            self._restore()

    def prepare(self, listener: Listener) -> dict[str, Any] | None:
        """Run the frozen network; returns the base's figures on the fields that are held back."""
        before = None
        if len(self.fields):
            self.held = FrozenDetector(self.model, self.fields.fields)
            before = self._figures_of(self.base, dict(self.config.class_map))
            listener.on_metrics({"step": 0, "loss": None, **for_curves(before)})
        self.views = freeze(
            self.model,
            self.data.train,
            self.names,
            self.config.adapt,
            self.config.views,
            self.config.correction_weight,
            self.config.seed,
            listener.should_cancel,
            lambda done, total: listener.on_progress(done, total, "Looking at the fields"),
        )
        return before

    def train(self, listener: Listener) -> bool:
        """Make the steps that are left; returns whether that was cancelled."""
        while self.step < self.config.steps:
            if listener.should_cancel():
                return True
            loss = self._train_once()
            listener.on_progress(self.step, self.config.steps, f"loss {loss:.3f}")
            listener.on_loss(self.step, loss)
            if self.step % self.config.validate_every == 0 or self.step == self.config.steps:
                listener.on_metrics(self._validate())
                self._save_state()
        return False

    def finish(self, before: dict[str, Any] | None, cancelled: bool) -> dict[str, Any] | None:
        """Write the best heads with their figures; returns these where fields are held back."""
        if not cancelled:
            self.state_path.unlink(missing_ok=True)
        if not self.best:
            return None
        kept = load_model(self.config.out).to(self.device)
        after = self._figures_of(kept, {}) if self.held else None
        metrics = {"validation": self.best, "before": before, "after": after}
        kept.card = dataclasses.replace(kept.card, metrics=metrics)
        save_model(kept, self.config.out)
        return after

    def _train_once(self) -> float:
        # Seeded by the step, so that a resumed run goes on as an unbroken one.
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)
        self.model.class_head.train()
        losses: HeadLosses = head_losses(
            self.model, self.views, self.weights, self.config, generator
        )
        value = float(losses.total.detach())
        if not math.isfinite(value):
            raise UserError(
                f"The loss is no longer a number at step {self.step + 1}; what was best before is"
                " kept. Try a lower learning rate."
            )
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        self.optimizer.step()
        self.schedule.step()
        self.model.class_head.eval()
        self.step += 1
        self.recent_loss = value if self.step == 1 else 0.9 * self.recent_loss + 0.1 * value
        return value

    def _validate(self) -> dict[str, Any]:
        figures: dict[str, Any] = {"step": self.step, "loss": round(self.recent_loss, 4)}
        threshold = self.base.card.score_threshold
        if self.held:
            tables = self.held.detect(self.model)
            chosen = self.fields.best(tables, self.names, threshold)
            threshold = chosen.threshold
            figures |= chosen.report.to_json() | {"quality": round(chosen.quality, 5)}
        figures["threshold"] = threshold
        quality = figures.get("quality", 1.0)
        self.top = max(self.top, quality)
        # Later heads have settled, and the few fields held back tell no small differences apart.
        if quality >= self.top - AS_GOOD:
            self.best = figures
            self._write_model(figures)
        return figures

    def _figures_of(self, model: MuseModel, names: dict[str, str]) -> dict[str, Any]:
        assert self.held is not None
        return self.fields.figures(model.card, self.held.detect(model), names)

    def _write_model(self, figures: dict[str, Any]) -> None:
        base = self.base.card
        self.model.card = dataclasses.replace(
            new_card(self.config, self.data.scheme),
            architecture=base.architecture,
            mpp=base.mpp,
            fov_px=base.fov_px,
            score_threshold=figures["threshold"],
            metrics={"validation": figures},
            parent=base.name,
            training=describe(self.config, figures["step"]) | self.data.to_json(),
        )
        save_model(self.model, self.config.out)

    def _save_state(self) -> None:
        save_state(
            {
                "fingerprint": self.fingerprint,
                "step": self.step,
                "best": json.dumps(self.best),
                "recent_loss": self.recent_loss,
                "top": self.top,
                "heads": self.heads.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
            },
            self.state_path,
        )

    def _restore(self) -> None:
        state = load_state(self.state_path)
        if state is None or state["fingerprint"] != self.fingerprint:
            return
        self.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.step = int(state["step"])
        self.best = json.loads(state["best"])
        self.recent_loss = float(state["recent_loss"])
        self.top = float(state["top"])
