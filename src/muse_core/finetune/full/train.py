"""The training loop: seeded, resumable, cancellable, keeping the best averaged weights."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Mapping
from typing import cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from muse_core.data.points_folder import class_names_in
from muse_core.detect import DetectConfig, choose_device
from muse_core.errors import UserError
from muse_core.evaluate.detection import detect_images
from muse_core.files import only_one, resumable
from muse_core.finetune.checks import with_found_models
from muse_core.finetune.config import ADAPT, FinetuneConfig
from muse_core.finetune.data.appearance import alter_appearance
from muse_core.finetune.data.crop_dataset import CropBatch, CropDataset, collate
from muse_core.finetune.data.full_data import load_full_data
from muse_core.finetune.describe import describe_run
from muse_core.finetune.full.ema import warmed_up_average
from muse_core.finetune.full.shards import Shards
from muse_core.finetune.full.step import FullLearner, Guidance
from muse_core.finetune.full.teacher import load_teacher
from muse_core.finetune.heads_only.adapt import adapt
from muse_core.finetune.holdout.evaluator import HoldoutScore, for_curves
from muse_core.finetune.holdout.threshold import LOWEST_SCORE, OperatingPoint, best_threshold
from muse_core.finetune.losses.consistency import ClassThresholds, PseudoLabels, pseudo_labels, ramp
from muse_core.finetune.losses.distillation import TeacherAnswer, teacher_answer
from muse_core.finetune.record import checkpoint_path, write_record
from muse_core.finetune.result import FinetuneResult, Listener, ValidationFigures
from muse_core.finetune.start import new_card, parent_name, run_notes, starting_model
from muse_core.finetune.state import (
    Stateful,
    TrainState,
    checkpoint_of,
    require_finite,
)
from muse_core.memory import require_batch_memory
from muse_core.models.card import BACKBONE, read_card
from muse_core.models.checkpoint import as_saved, load_model, save_model
from muse_core.models.config import ModelConfig
from muse_core.models.device import training_autocast_for
from muse_core.models.heads import at_anchors
from muse_core.models.muse_model import MuseModel
from muse_core.training.loading import prepared_batches, workers_may_end
from muse_core.training.schedules import one_cycle
from muse_core.training.seeding import seed_step

_GRADIENT_CLIP = 5.0
_WARMUP_SHARE = 0.15
_SHARE_OF_A_STEP = 0.02
"""In the moving average of the loss."""


def finetune(config: FinetuneConfig, listener: Listener | None = None) -> FinetuneResult:
    """Train a model and write it to ``config.out``.

    Args:
        config: The run.
        listener: Follows the run and may cancel it.

    Raises:
        UserError: Data, base model or checkpoint cannot be used, a worker was ended, or the loss is
            no longer finite.
    """
    if not isinstance(config, FinetuneConfig):
        raise UserError(f"A training is given as a FinetuneConfig, not as {config!r:.100}.")
    found = with_found_models(config)
    kept = checkpoint_path(config.out)
    going_on = resumable(kept) if config.resume else contextlib.nullcontext()
    with only_one(config.out), going_on, workers_may_end():
        return _finetune(found, listener or Listener())


def _finetune(config: FinetuneConfig, listener: Listener) -> FinetuneResult:
    if config.mode == ADAPT:
        return adapt(config, listener)
    run = _Run(config)
    if run.before:
        listener.on_metrics({"step": 0, "loss": None, **for_curves(run.before.chosen)})
    cancelled = False
    with contextlib.closing(run.batches()) as batches:
        for batch in batches:
            if listener.should_cancel():
                cancelled = True
                break
            loss = run.train_on(batch)
            step = run.state.step
            listener.on_progress(step, config.steps, f"loss {loss:.3f}")
            listener.on_loss(step, loss)
            if step % config.validate_every == 0 or step == config.steps:
                figures = run.validate()
                run.checkpoint.save(run.state)
                listener.on_metrics(figures)
    return run.finish(cancelled)


class _Run:
    """A run in progress: networks, optimiser and schedule, and the best validation so far."""

    def __init__(self, config: FinetuneConfig) -> None:
        self.config = config
        self.device = choose_device(config.device, gradients=True)
        torch.manual_seed(config.seed)
        require_batch_memory(
            "crops", config.batch, config.views.crop_px**2, self.device.type, training=True
        )
        self.mpp = read_card(config.base).mpp if config.base else config.mpp
        self.sources = load_full_data(config, self.mpp)
        self.data = self.sources.training
        self.model = starting_model(config, self.sources.scheme)
        names = self.sources.scheme.names
        self.teacher = load_teacher(config.distillation, names, self.mpp, self.device)
        head = ModelConfig.from_json(self.model.card.architecture).head
        self.learner = FullLearner(self.model, self.data, head).to(self.device)
        # Convolutions in bfloat16 are about twice as fast in this layout, on CPUs and GPUs.
        torch.nn.utils.convert_conv2d_weight_memory_format(
            self.learner, memory_format=torch.channels_last
        )
        # On a GPU all of a batch fits into one pass.
        parts = config.shards if self.device.type == "cpu" else 1
        self.shards = Shards(self.learner, parts) if parts > 1 else None
        self.averaged = AveragedModel(
            self.model,
            multi_avg_fn=warmed_up_average(config.ema_decay, config.ema_reach),
            use_buffers=True,
        )
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(self.learner, config), lr=config.learning_rate, fused=True
        )
        self.schedule = one_cycle(self.optimizer, config.steps, _WARMUP_SHARE)
        self.thresholds = ClassThresholds(self.data.counts[0], config.consistency)
        self.thresholds.to(self.device)
        stateful: dict[str, Stateful] = {
            "learner": self.learner,
            "averaged": self.averaged,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "thresholds": self.thresholds,
        }
        self.checkpoint = checkpoint_of(config, self.sources.digest(), stateful)
        self.state = self.checkpoint.load() if config.resume else TrainState()
        self.before = self._score_before()

    @property
    def averaged_model(self) -> MuseModel:
        """The model with averaged weights."""
        return cast(MuseModel, self.averaged.module)

    def batches(self) -> Generator[CropBatch, None, None]:
        """The batches still to come; to be closed."""
        config = self.config
        dataset = CropDataset(
            self.data.sources,
            config.views,
            self.mpp,
            length=config.steps * config.batch,
            seed=config.seed,
            start=self.state.step * config.batch,
        )
        return prepared_batches(dataset, config.workers, config.batch, collate)

    def train_on(self, batch: CropBatch) -> float:
        """Make one optimiser step; returns the loss."""
        generator = seed_step(self.config.seed, self.state.step)
        self.optimizer.zero_grad(set_to_none=True)
        if self.shards is None:
            weight = ramp(self.state.step, self.config.consistency, self.config.steps)
            loss = self._loss(self.learner.train(), batch, generator, weight)
            value = require_finite(loss, self.state.step)
            loss.backward()
        else:
            seeds = torch.randint(2**62, (self.config.shards,), generator=generator).tolist()
            value = self.shards.backward(
                batch,
                seeds,
                lambda network, part, seed: self._loss(
                    network, part, torch.Generator().manual_seed(seed)
                ),
            )
            require_finite(torch.tensor(value), self.state.step)
        torch.nn.utils.clip_grad_norm_(self.learner.parameters(), _GRADIENT_CLIP)
        self.optimizer.step()
        self.schedule.step()
        self.averaged.update_parameters(self.model)
        self.state.count(value, _SHARE_OF_A_STEP)
        return value

    def _loss(
        self,
        learner: FullLearner,
        batch: CropBatch,
        generator: torch.Generator,
        consistency: float = 0.0,
    ) -> Tensor:
        """Loss of a batch, its views altered."""
        image = alter_appearance(batch.image.to(self.device), self.config.views, generator)
        image = image.to(memory_format=torch.channels_last)
        moved = dataclasses.replace(batch, image=image, known=batch.known.to(self.device))
        with training_autocast_for(self.device):
            guidance = Guidance(
                pseudo=self._pseudo_labels(batch) if consistency else None,
                consistency=consistency,
                answer=self._answer(batch),
                distillation=self.config.distillation.weight,
            )
            losses = learner.losses(moved, self.config.losses, generator, guidance)
        return losses.total

    def _pseudo_labels(self, batch: CropBatch) -> PseudoLabels | None:
        """Return the averaged model's output on unaltered views; None where nothing is free."""
        if not batch.free.any():
            return None
        free = at_anchors(batch.free).to(self.device)
        teacher, image = self.averaged_model.eval(), self._unaltered(batch)
        return pseudo_labels(teacher, image, free, self.thresholds, self.config.consistency)

    def _answer(self, batch: CropBatch) -> TeacherAnswer | None:
        """Return the teacher's output on unaltered views; None without a teacher."""
        if self.teacher is None:
            return None
        min_score = self.config.distillation.min_score
        return teacher_answer(self.teacher, self._unaltered(batch), min_score)

    def _unaltered(self, batch: CropBatch) -> Tensor:
        return batch.image.to(self.device).to(memory_format=torch.channels_last)

    def _score_before(self) -> HoldoutScore | None:
        """Return the score of the base model on the holdout."""
        if not self.sources.holdout or self.config.base is None:
            return None
        if read_card(self.config.base).kind == BACKBONE:
            return None
        base = load_model(self.config.base, self.device)
        return self._score(base, self.config.class_map)

    def _score(self, model: MuseModel, names: Mapping[str, str]) -> HoldoutScore:
        return self.sources.holdout.score(model.card, lambda fields: fields.detect(model), names)

    def validate(self) -> ValidationFigures:
        """Score the averaged weights; keep them if they are the best so far."""
        chosen = self._operating()
        threshold = self.model.card.score_threshold
        at: ValidationFigures = chosen.figures if chosen else {"threshold": threshold}
        figures: ValidationFigures = {**self.state.figures(), **at}
        if self.state.keep(figures):
            self._write_model(figures)
        return figures

    def _operating(self) -> OperatingPoint | None:
        """The averaged weights' figures where there is something to score on."""
        names = self.data.label_sets[0]
        holdout = self.sources.holdout
        written = as_saved(self.averaged_model).eval()
        if holdout:
            tables = holdout.choosing.detect(written)
            return holdout.choosing.best(tables, names, self.model.card.score_threshold)
        if not self.sources.val:
            return None
        detect = DetectConfig(device=self.device.type, min_score=LOWEST_SCORE)
        tables = detect_images(written, self.sources.val, detect)
        occurring = class_names_in(self.sources.val)
        return best_threshold(self.sources.val, tables, names, only=occurring)

    def finish(self, cancelled: bool) -> FinetuneResult:
        """Tidy up, and score what is kept where there is a holdout."""
        if self.shards:
            self.shards.close()
        if cancelled:
            self.checkpoint.save(self.state)
        before = self.before.figures if self.before else None
        after = None
        if self.state.best and self.sources.holdout:
            kept = load_model(self.config.out, self.device)
            after = self._score(kept, {}).figures
            figures = kept.card.metrics | {"before": before, "after": after}
            kept.card = dataclasses.replace(kept.card, metrics=figures)
            save_model(kept, self.config.out)
        # Last, so that a run that is killed while its model is measured is resumed.
        if not cancelled:
            self.checkpoint.remove()
        return FinetuneResult(
            path=self.config.out if self.state.best else None,
            metrics=self.state.best,
            steps_done=self.state.step,
            cancelled=cancelled,
            steps=self.config.steps,
            before=before,
            after=after,
            data=self.sources.to_json(),
            notes=(
                *self.sources.notes,
                *self._nothing_chosen(),
                *run_notes(self.config, self.sources.scheme),
            ),
        )

    def _nothing_chosen(self) -> tuple[str, ...]:
        """A note where there are points-folders alone, and none to validate on."""
        if self.sources.fields or self.sources.val:
            return ()
        return (
            "There is nothing to validate on: the weights are the last, and the score threshold of"
            f" {self.model.card.score_threshold:.4g} is not chosen.",
        )

    def _write_model(self, figures: ValidationFigures) -> None:
        network = self.averaged_model
        network.card = dataclasses.replace(
            new_card(self.config, self.sources.scheme),
            architecture=self.model.card.architecture,
            mpp=self.mpp,
            score_threshold=figures["threshold"],
            metrics={"validation": figures},
            parent=parent_name(self.config),
            training=describe_run(self.config, figures["step"], self.device)
            | self.sources.to_json(),
        )
        save_model(network, self.config.out)
        write_record(self.config)


def _parameter_groups(learner: FullLearner, config: FinetuneConfig) -> list[dict[str, object]]:
    """Norms and biases are not decayed; the backbone has a rate of its own."""
    of_backbone = {id(p) for p in learner.model.backbone.parameters()}
    groups = []
    for is_backbone in (True, False):
        rate = config.learning_rate * (config.backbone_rate if is_backbone else 1.0)
        members = [p for p in learner.parameters() if (id(p) in of_backbone) == is_backbone]
        for decayed in (True, False):
            groups.append(
                {
                    "params": [p for p in members if (p.ndim > 1) == decayed],
                    "weight_decay": config.weight_decay if decayed else 0.0,
                    "lr": rate,
                }
            )
    return groups
