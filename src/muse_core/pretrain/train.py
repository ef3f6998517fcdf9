"""The pretraining loop: one device or many, exactly resumable, logged."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from muse_core.config_file import write_resolved
from muse_core.detect import choose_device
from muse_core.errors import UserError
from muse_core.evaluate.probe import ProbeFolders, probe_folders, read_probe_sets
from muse_core.evaluate.probe_config import ProbeConfig
from muse_core.files import make_folder, only_one, resumable, sha256_of
from muse_core.memory import require_batch_memory
from muse_core.models.compiler_shim import compiler_left_out
from muse_core.models.device import computes_in_bfloat16
from muse_core.models.registry import resolve_model
from muse_core.pretrain.batches import BatchDataset, PretrainBatch
from muse_core.pretrain.clipping import clip_each
from muse_core.pretrain.collapse import entropy_share, feature_rank, usage_share
from muse_core.pretrain.config import PretrainConfig, ProbeSetsConfig
from muse_core.pretrain.config_file import PACKAGES
from muse_core.pretrain.curves import CurveFiles
from muse_core.pretrain.export import BACKBONE_NAME, export_backbone, starting_backbone
from muse_core.pretrain.global_norm import normalise_globally
from muse_core.pretrain.launch import launch
from muse_core.pretrain.losses import Centre, Sinkhorn
from muse_core.pretrain.network import (
    DistillationNetwork,
    drop_blocks,
    follow,
    make_teacher,
    parameter_groups,
)
from muse_core.pretrain.processes import join_processes, others_may_end
from muse_core.pretrain.rates import Rates, rates_at
from muse_core.pretrain.roi_manifest import read_manifest
from muse_core.pretrain.step import Balance, StepOutput, Teacher, distil
from muse_core.progress import OnProgress
from muse_core.strict import plain_values
from muse_core.training.loading import prepared_batches, workers_may_end
from muse_core.training.run_state import identity_of, load_own_run, restoring, save_run
from muse_core.training.seeding import seed_step

with compiler_left_out():
    from lightning_fabric.wrappers import _FabricModule

CHECKPOINT_NAME = "last.checkpoint"
_LOG, _PROBE = "log", "probe"


@dataclass(frozen=True)
class PretrainResult:
    """Result of a pretraining run.

    Attributes:
        path: The backbone.
        steps_done: Optimiser steps made, over all resumptions.
        loss: Of the last step; NaN where all had been made before.
        samples_per_s: Samples a second over all processes, in this process's lifetime; or NaN.
        cancelled: Whether it stopped early because it was asked to.
    """

    path: Path
    steps_done: int
    loss: float
    samples_per_s: float
    cancelled: bool


def pretrain(
    config: PretrainConfig,
    on_progress: OnProgress | None = None,
    should_cancel: Callable[[], bool] | None = None,
    resume: bool = True,
) -> PretrainResult:
    """Pretrain a backbone into ``config.out``; under torchrun, with the processes it started.

    Args:
        config: The run.
        on_progress: Called with (steps done, steps, message) after each step.
        should_cancel: Asked before each step; one process suffices to cancel all.
        resume: Whether to go on from a checkpoint in ``config.out``.

    Raises:
        UserError: ROIs, base, device or checkpoint cannot be used, another process has ended, or
            the loss is no longer finite; the last good checkpoint and its backbone are then kept.
    """
    if not isinstance(config, PretrainConfig):
        raise UserError(f"A training is given as a PretrainConfig, not as {config!r:.100}.")
    with contextlib.ExitStack() as held:
        held.enter_context(compiler_left_out())
        if launch().rank == 0:
            make_folder(config.out)
            held.enter_context(only_one(config.out / CHECKPOINT_NAME))
        if resume:
            held.enter_context(resumable(config.out / CHECKPOINT_NAME))
        held.enter_context(others_may_end())
        held.enter_context(workers_may_end())
        run = Run(config, resume)
        # Also if the loss is no longer a number: the curves then show what led to it.
        with contextlib.closing(run):
            return _train(run, on_progress, should_cancel or (lambda: False))


def _train(
    run: Run, on_progress: OnProgress | None, should_cancel: Callable[[], bool]
) -> PretrainResult:
    config = run.config
    begin, first = time.perf_counter(), run.step
    loss, rate = math.nan, math.nan
    cancelled = False
    with contextlib.closing(run.batches()) as batches:
        while run.step < config.schedule.steps:
            cancelled = run.any_process(should_cancel())
            if cancelled:
                break
            loss = run.train_on(batches)
            rate = (run.step - first) * config.schedule.batch / (time.perf_counter() - begin)
            run.after_step(rate)
            if on_progress:
                message = f"loss {loss:.3f}, {rate:.1f} samples/s"
                on_progress(run.step, config.schedule.steps, message)
    path = config.out / BACKBONE_NAME
    if run.any_process(run.step != run.saved_step or not path.is_file()):
        run.save()
    return PretrainResult(path, run.step, loss, rate, cancelled)


class Run:
    """A run in progress: student, teacher, balances, optimiser, and what is logged of them."""

    def __init__(self, config: PretrainConfig, resume: bool = True) -> None:
        """Build everything and go on from a checkpoint if there is one.

        Args:
            config: The run.
            resume: Whether to look for a checkpoint.
        """
        self.config = config = _resolved(config)
        self.fabric = join_processes(config)
        parts = self.fabric.world_size * config.schedule.accumulate
        samples, device = config.schedule.batch // parts, self.fabric.device.type
        require_batch_memory("samples", samples, config.views.px, device, training=True)
        torch.manual_seed(config.seed)
        backbone, self.architecture = starting_backbone(config)
        network = DistillationNetwork(backbone, config.losses)
        normalise_globally(network)
        torch.nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
        self.teacher = make_teacher(network).to(self.fabric.device)
        drop_blocks(network, config.schedule.stochastic_depth)
        optimizer = torch.optim.AdamW(parameter_groups(network), lr=0.0)
        student, self.optimizer = self.fabric.setup(network, optimizer)
        self.student: _FabricModule = student
        losses = config.losses
        self.balances = (
            self._balance(losses.prototypes_of_images),
            self._balance(losses.prototypes),
        )
        self.step = 0
        self.saved_step = -1
        self.last: StepOutput | None = None
        self._figures: dict[str, float] = {}
        self._state_path = config.out / CHECKPOINT_NAME
        self._identity = _identity(config)
        if resume:
            self._restore()
        # Before the folder is written to, as it refuses settings.
        self._to_come = BatchDataset(
            config, self.step, self.fabric.global_rank, self.fabric.world_size
        )
        self._curves = self._start_folder() if self.fabric.is_global_zero else None

    @property
    def network(self) -> DistillationNetwork:
        """The student without wrapping."""
        network = self.student.module
        assert isinstance(network, DistillationNetwork)
        return network

    def batches(self) -> Generator[PretrainBatch, None, None]:
        """The batches this process still had to see at the start; to be closed."""
        pin_memory = self.fabric.device.type == "cuda"
        return prepared_batches(self._to_come, self.config.workers, pin_memory=pin_memory)

    def train_on(self, batches: Iterator[PretrainBatch]) -> float:
        """Make one optimiser step; returns the loss over all processes.

        Raises:
            UserError: The loss or its gradient is no longer finite; nothing was changed.
        """
        config, rates = self.config, rates_at(self.step, self.config)
        # Seeded by the step, so that a resumed run gives exactly the same result.
        seed_step(config.seed, self.step)
        self.student.train()
        self.teacher.train()
        teacher = Teacher(self.teacher, self.balances, rates.teacher_temperature)
        parts = config.schedule.accumulate
        outputs = []
        for part in range(parts):
            batch = next(batches).to(self.fabric.device)
            with self.fabric.no_backward_sync(self.student, enabled=part < parts - 1):
                output = distil(
                    self.student, teacher, batch, config, self.fabric.autocast, self._mean
                )
                self.fabric.backward(output.total / parts)
            outputs.append(output)
        loss = self._mean(torch.stack([o.total.detach() for o in outputs]).mean())
        norm = self._clip(rates)
        if not math.isfinite(float(loss) + norm):
            self.optimizer.zero_grad(set_to_none=True)
            raise UserError(
                f"The loss is no longer a number at step {self.step + 1}; the checkpoint of step"
                f" {max(self.saved_step, 0)} is kept. Try a lower learning rate or float32."
            )
        self._update(rates, outputs)
        self.last = outputs[-1]
        self._figures = {
            "loss": float(loss),
            "image_loss": float(self._mean(torch.stack([o.image for o in outputs]).mean())),
            "nucleus_loss": float(self._mean(torch.stack([o.nucleus for o in outputs]).mean())),
            "gradient_norm": norm,
            "learning_rate": rates.learning_rate,
            "weight_decay": rates.weight_decay,
            "teacher_momentum": rates.teacher_momentum,
            "teacher_temperature": rates.teacher_temperature,
        }
        return float(loss)

    def after_step(self, samples_per_s: float) -> None:
        """Log, probe and save where it is time to."""
        config, step = self.config, self.step
        done = step == config.schedule.steps
        if self._curves and (step % config.log_steps == 0 or done):
            self._curves.add(_LOG, step, self._figures | self._health(samples_per_s))
        probe = config.probe
        if probe and (step % (probe.every_epochs * config.schedule.epoch_steps) == 0 or done):
            if self._curves:
                self._curves.add(_PROBE, step, {"knn_accuracy": self._probe()})
            self.fabric.barrier()
        if step % config.checkpoint_steps == 0 or done:
            self.save()

    def save(self) -> None:
        """Write the checkpoint and the backbone."""
        if self.fabric.is_global_zero:
            # First, so that it is not older than a checkpoint, from which a killed run goes on.
            export_backbone(self.teacher.backbone, self.architecture, self.config, self.step)
            save_run(
                self._identity,
                {
                    "step": self.step,
                    "student": self.network.state_dict(),
                    "teacher": self.teacher.state_dict(),
                    "balances": [balance.state_dict() for balance in self.balances],
                    "optimizer": self.optimizer.state_dict(),
                },
                self._state_path,
            )
        self.saved_step = self.step
        self.fabric.barrier()

    def close(self) -> None:
        """Write what is still in memory."""
        if self._curves:
            self._curves.close()

    def any_process(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return float(self._mean(torch.tensor(float(flag), device=self.fabric.device))) > 0

    def _balance(self, n_outputs: int) -> Balance:
        losses = self.config.losses
        if losses.balance == "sinkhorn":
            return Sinkhorn(self._mean)
        return Centre(n_outputs, losses.centre_momentum).to(self.fabric.device)

    def _clip(self, rates: Rates) -> float:
        """Clip the gradient; returns its norm before, that of the whole network."""
        if rates.prototypes_frozen:
            for parameter in self.network.prototypes():
                parameter.grad = None
        schedule = self.config.schedule
        if schedule.clip_per == "parameter":
            return clip_each(self.network.parameters(), schedule.clip)
        return float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), schedule.clip))

    def _update(self, rates: Rates, outputs: list[StepOutput]) -> None:
        for group, decays in zip(self.optimizer.param_groups, (True, False), strict=True):
            group["lr"] = rates.learning_rate
            group["weight_decay"] = rates.weight_decay if decays else 0.0
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        follow(self.teacher, self.network, rates.teacher_momentum)
        seen = ([o.image_outputs for o in outputs], [o.nucleus_outputs for o in outputs])
        for balance, own in zip(self.balances, seen, strict=True):
            if not isinstance(balance, Centre):
                continue
            total = torch.stack([part.sum(dim=0) for part in own]).sum(dim=0)
            count = torch.tensor(float(sum(map(len, own))), device=total.device)
            # Means over processes serve as well as sums: only their ratio counts.
            balance.update(self._mean(total), self._mean(count))
        self.step += 1

    def _health(self, samples_per_s: float) -> dict[str, float]:
        assert self.last is not None
        return {
            "teacher_entropy_image": entropy_share(self.last.image_targets),
            "teacher_entropy_nucleus": entropy_share(self.last.nucleus_targets),
            "prototype_usage_image": usage_share(self.last.image_targets),
            "prototype_usage_nucleus": usage_share(self.last.nucleus_targets),
            "feature_rank_image": feature_rank(self.last.image_features),
            "feature_rank_nucleus": feature_rank(self.last.nucleus_features),
            "matched_per_pair": self._matched_per_pair(self.last),
            "samples_per_s": samples_per_s,
        }

    def _matched_per_pair(self, output: StepOutput) -> float:
        """Nuclei that two views of a sample share, mean over ordered pairs of this process."""
        views = self.config.views
        pairs = len(output.image_targets) * (views.n_global + views.n_local - 1)
        return len(output.nucleus_targets) / pairs

    def _probe(self) -> float:
        """Accuracy of nearest neighbours on the labelled images, of a copy of the teacher."""
        probe = self.config.probe
        assert probe is not None
        report = probe_folders(
            copy.deepcopy(self.teacher.backbone).eval(),
            probe.at_mpp,
            _labelled(probe),
            ProbeConfig(protocol="knn", seed=self.config.seed),
            device=self.fabric.device.type,
        )
        return report.accuracy

    def _mean(self, value: Tensor) -> Tensor:
        if self.fabric.world_size == 1:
            return value
        reduced = self.fabric.all_reduce(value.detach().clone(), reduce_op="mean")
        assert isinstance(reduced, Tensor)
        return reduced

    def _start_folder(self) -> CurveFiles:
        out, probe = self.config.out, self.config.probe
        if probe:
            # What is wrong with the images is said now and not after hours of training.
            read_probe_sets(probe.at_mpp, _labelled(probe), ProbeConfig(protocol="knn"))
        make_folder(out)
        write_resolved(self.config, out / "config.json", PACKAGES)
        return CurveFiles(out, self.step, (_LOG, _PROBE))

    def _restore(self) -> None:
        state = load_own_run(self._identity, self._state_path)
        if state is None:
            return
        with restoring(self._state_path):
            self.network.load_state_dict(state["student"])
            self.teacher.load_state_dict(state["teacher"])
            for balance, kept in zip(self.balances, state["balances"], strict=True):
                balance.load_state_dict(kept)
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = self.saved_step = int(state["step"])


def _resolved(config: PretrainConfig) -> PretrainConfig:
    """The run with its device and precision chosen and its base found, as they are recorded."""
    device = choose_device(config.device, gradients=True)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if computes_in_bfloat16(device) else "float32"
    base = resolve_model(config.base) if config.base else None
    return dataclasses.replace(config, device=device.type, precision=precision, base=base)  # type: ignore[arg-type]


def _labelled(probe: ProbeSetsConfig) -> ProbeFolders:
    return ProbeFolders(probe.train, probe.test, probe.mpp)


def _identity(config: PretrainConfig) -> str:
    """Return the settings that identify a run; those that do not change its course are left out."""
    values = plain_values(config)
    for key in ("out", "name", "workers", "log_steps", "checkpoint_steps", "probe", "device"):
        values.pop(key)
    manifest = json.dumps(dataclasses.asdict(read_manifest(config.rois)), sort_keys=True)
    values["rois"] = hashlib.sha256(manifest.encode()).hexdigest()
    values["base"] = sha256_of(config.base) if config.base else None
    return identity_of(values)
