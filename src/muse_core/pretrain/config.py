"""Configuration of pretraining: views, losses, schedule. No torch."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from muse_core.errors import UserError
from muse_core.field_types import require_field_types
from muse_core.models.config import BackboneConfig
from muse_core.models.device_names import DeviceName
from muse_core.mpp_range import MAX_MPP, MIN_MPP
from muse_core.strict import STRICT, StrictOptions
from muse_core.training.limits import MOST_RATE, check_workers

_SIDE_MULTIPLE_PX = 16
_MOST_PX = 4096
_MOST_CHANNELS = 2**20


@dataclass(frozen=True)
class ViewsConfig:
    """Views of a sample.

    All views of a sample lie in one square field around a nucleus, so that they share nuclei; the
    paper does not say how it makes them overlap. Where a ROI is too small for a view of the MPP
    drawn, the view gets the largest MPP that fits.

    Attributes:
        mpp: Range of microns per pixel, drawn log-uniformly for every view.
        global_px: Side of the global views, which teacher and student see.
        local_px: Side of the local views, which only the student sees.
        n_global: Number of global views, at least 2.
        n_local: Number of local views.
        field_um: Side of the field, unless the largest view is larger.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    mpp: tuple[float, float] = (0.2, 0.6)
    global_px: int = 224
    local_px: int = 96
    n_global: int = 2
    n_local: int = 6
    field_um: float = 140.0

    def __post_init__(self) -> None:
        require_field_types(self)
        if not MIN_MPP <= self.mpp[0] <= self.mpp[1] <= MAX_MPP:
            raise UserError(
                f"views.mpp must be a range of positive numbers, {MIN_MPP:g} to {MAX_MPP:g}."
            )
        for name in ("global_px", "local_px"):
            side = getattr(self, name)
            if not 32 <= side <= _MOST_PX or side % _SIDE_MULTIPLE_PX:
                raise UserError(f"views.{name} must be a multiple of 16, from 32 to {_MOST_PX}.")
        if self.n_global < 2 or self.n_local < 0:
            raise UserError("views.n_global is at least 2 and views.n_local at least 0.")
        if not 0 < self.field_um < 10_000:
            raise UserError("views.field_um must be positive and below 10000.")

    @property
    def px(self) -> int:
        """Pixels of all views of a sample."""
        return self.n_global * self.global_px**2 + self.n_local * self.local_px**2


@dataclass(frozen=True)
class AppearanceConfig:
    """Settings for altering the appearance of views.

    Attributes:
        stain_gain: Range of the factor on each stain, log-uniform.
        stain_shift: Largest shift of each stain's optical density.
        stain_turn: Deviation of the stain vectors.
        brightness: Largest change of brightness, 0 to 1.
        contrast: Largest change of contrast, 0 to 1.
        saturation: Largest change of saturation, 0 to 1.
        blur_px: Range of the deviation of the Gaussian blur.
        blur_share: Share of views that get blurred, 0 to 1.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    stain_gain: tuple[float, float] = (0.6, 1.6)
    stain_shift: float = 0.05
    stain_turn: float = 0.06
    brightness: float = 0.1
    contrast: float = 0.2
    saturation: float = 0.2
    blur_px: tuple[float, float] = (0.3, 1.5)
    blur_share: float = 0.4

    def __post_init__(self) -> None:
        require_field_types(self)
        for name in ("stain_gain", "blur_px"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise UserError(f"appearance.{name} must be a range of positive numbers.")
        for name in ("brightness", "contrast", "saturation", "blur_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"appearance.{name} lies between 0 and 1.")
        if min(self.stain_shift, self.stain_turn) < 0:
            raise UserError("appearance.stain_shift and stain_turn are at least 0.")


@dataclass(frozen=True)
class LossesConfig:
    """Losses and heads.

    Attributes:
        image_weight: Of L_image; 0 leaves it out.
        nucleus_weight: Of NuLo; 0 leaves it out.
        prototypes: Outputs of each head.
        image_prototypes: Outputs of the image head; None: as many as ``prototypes``. A batch has
            few views, and "sinkhorn" spreads them over all outputs.
        hidden_channels: Width of the heads' hidden layers.
        bottleneck_channels: Dimension of the space in which outputs and prototypes are compared.
        head_batch_norm: Whether the heads' hidden layers are normalised over the batch.
        nuclei_per_pair: Most matched nuclei of a pair of views that are used.
        nucleus_mean: Whether NuLo is averaged per "pair" of views and then over pairs, so that
            crowded views do not dominate, or over each "nucleus" alike.
        student_temperature: Of the student's outputs.
        teacher_temperature: At the start and after ``teacher_warmup_epochs``.
        teacher_warmup_epochs: How long the teacher's temperature rises.
        balance: Keeps one prototype from winning everywhere: a moving "centre" (DINO), or
            "sinkhorn" over the batch (SwAV, DINOv2), which suits short runs.
        centre_momentum: Of the moving mean of the teacher's outputs, for the balance "centre".
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    image_weight: float = 1.0
    nucleus_weight: float = 1.0
    prototypes: int = 4096
    image_prototypes: int | None = None
    hidden_channels: int = 2048
    bottleneck_channels: int = 256
    head_batch_norm: bool = False
    nuclei_per_pair: int = 16
    nucleus_mean: Literal["pair", "nucleus"] = "pair"
    student_temperature: float = 0.1
    teacher_temperature: tuple[float, float] = (0.04, 0.07)
    teacher_warmup_epochs: float = 30.0
    balance: Literal["centre", "sinkhorn"] = "centre"
    centre_momentum: float = 0.9

    def __post_init__(self) -> None:
        require_field_types(self)
        if min(self.image_weight, self.nucleus_weight) < 0 or (
            self.image_weight + self.nucleus_weight == 0
        ):
            raise UserError("The losses' weights are at least 0, and one of them is above 0.")
        sizes = (
            self.prototypes,
            self.prototypes_of_images,
            self.hidden_channels,
            self.bottleneck_channels,
        )
        if min(*sizes, self.nuclei_per_pair) < 1 or max(sizes) > _MOST_CHANNELS:
            raise UserError(
                f"The sizes of the heads lie between 1 and {_MOST_CHANNELS:,}, and nuclei_per_pair"
                " is at least 1."
            )
        if min(self.prototypes, self.prototypes_of_images) < 2:
            raise UserError("There are at least 2 prototypes, so that views can differ.")
        if min(self.student_temperature, *self.teacher_temperature) <= 0:
            raise UserError("Temperatures must be positive.")
        if not 0 <= self.centre_momentum < 1 or self.teacher_warmup_epochs < 0:
            raise UserError(
                "centre_momentum lies between 0 and 1, teacher_warmup_epochs is at least 0."
            )

    @property
    def prototypes_of_images(self) -> int:
        """Outputs of the image head."""
        return self.prototypes if self.image_prototypes is None else self.image_prototypes


@dataclass(frozen=True)
class ScheduleConfig:
    """Length of a run, its batches, and schedules of learning rate, weight decay and momentum.

    Attributes:
        epochs: Number of epochs.
        epoch_samples: Samples in an epoch; each is one field in one ROI.
        samples_per_roi: Consecutive samples from the same ROI. With several, the network cannot
            distinguish the samples of a batch by stain or organ alone (ours; not in the paper).
        batch: Samples of an optimiser step, over all processes and accumulated parts.
        accumulate: Parts that a process splits its share of the batch into.
        learning_rate: Peak for a batch of 256; it is scaled with the batch.
        final_learning_rate: At the end, not scaled.
        warmup_epochs: How long the learning rate rises.
        weight_decay: At the start and at the end.
        teacher_momentum: Of the teacher's moving average, at the start and at the end.
        clip: Largest norm of a gradient.
        clip_per: Whether the gradient of each "parameter" is clipped, as DINO does, or that of the
            "network" as a whole.
        stochastic_depth: How often the student leaves out the last block of a ViT, less often
            those before it (Huang et al., ECCV 2016; DINO's is 0.1). Other encoders have none.
        freeze_prototypes_epochs: Number of epochs in which the heads' last layers are frozen.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    epochs: int = 100
    epoch_samples: int = 2048
    samples_per_roi: int = 1
    batch: int = 64
    accumulate: int = 1
    learning_rate: float = 5e-4
    final_learning_rate: float = 1e-6
    warmup_epochs: float = 10.0
    weight_decay: tuple[float, float] = (0.04, 0.4)
    teacher_momentum: tuple[float, float] = (0.996, 1.0)
    clip: float = 3.0
    clip_per: Literal["parameter", "network"] = "parameter"
    stochastic_depth: float = 0.1
    freeze_prototypes_epochs: float = 1.0

    def __post_init__(self) -> None:
        require_field_types(self)
        counts = (self.epochs, self.epoch_samples, self.samples_per_roi, self.batch)
        if min(*counts, self.accumulate) < 1:
            raise UserError(
                "epochs, epoch_samples, samples_per_roi, batch and accumulate are at least 1."
            )
        if self.epoch_samples < self.batch:
            raise UserError("epoch_samples is at least batch.")
        if self.epochs * self.epoch_samples > sys.maxsize:
            raise UserError("epochs times epoch_samples is more than can be counted.")
        if min(self.learning_rate, self.clip) <= 0 or self.final_learning_rate < 0:
            raise UserError("The learning rate and clip must be positive.")
        if max(self.learning_rate, self.final_learning_rate) > MOST_RATE:
            raise UserError(f"Learning rates are at most {MOST_RATE:g}.")
        if min(*self.weight_decay, self.warmup_epochs, self.freeze_prototypes_epochs) < 0:
            raise UserError("Weight decay and epochs are at least 0.")
        if not all(0 <= m <= 1 for m in self.teacher_momentum):
            raise UserError("teacher_momentum lies between 0 and 1.")
        if not 0 <= self.stochastic_depth < 1:
            raise UserError("stochastic_depth is at least 0 and below 1.")

    @property
    def epoch_steps(self) -> int:
        """Optimiser steps of an epoch."""
        return self.epoch_samples // self.batch

    @property
    def steps(self) -> int:
        """Optimiser steps of the run."""
        return self.epochs * self.epoch_steps


@dataclass(frozen=True)
class ProbeSetsConfig:
    """Labelled images to monitor the features on, by nearest neighbours; not used for selection.

    Attributes:
        train: Points-folder to take neighbours from.
        test: Points-folder to classify.
        mpp: Microns per pixel of their images.
        at_mpp: Microns per pixel to use the network at.
        every_epochs: How often.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    train: Path
    test: Path
    mpp: float
    at_mpp: float = 0.5
    every_epochs: int = 10

    def __post_init__(self) -> None:
        require_field_types(self)
        if min(self.mpp, self.at_mpp) <= 0 or self.every_epochs < 1:
            raise UserError("probe.mpp and probe.at_mpp are positive, every_epochs at least 1.")


@dataclass(frozen=True)
class PretrainConfig:
    """Configuration of a pretraining run.

    Attributes:
        rois: Folder written by ``muse rois``.
        out: Folder of the run: backbone.safetensors, config.json, log.csv, curves, checkpoint.
        name: Name in the model card; that of ``out`` when empty.
        model: Architecture; ignored when ``base`` is given.
        base: File of the model or backbone to start from, or its name as ``muse models list`` says
            it; None starts from random weights.
        mpp: Microns per pixel that the model card names, at which fine-tuning uses the network.
        views: Geometry of views.
        appearance: Look of views.
        losses: Losses and heads.
        schedule: Length and rates.
        probe: Labelled images to watch, or None.
        seed: Of everything random.
        device: auto, cpu, cuda or mps.
        precision: float32, bfloat16 autocast ("bf16"), or "auto": bf16 where the device has its
            arithmetic. What was chosen is recorded.
        workers: Processes that prepare batches; 0 prepares them in the training process.
        checkpoint_steps: Steps between checkpoints.
        log_steps: Steps between rows of the log.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    rois: Path
    out: Path
    name: str = ""
    model: BackboneConfig = field(default_factory=BackboneConfig)
    base: Path | None = None
    mpp: float = 0.5
    views: ViewsConfig = field(default_factory=ViewsConfig)
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    losses: LossesConfig = field(default_factory=LossesConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    probe: ProbeSetsConfig | None = None
    seed: int = 0
    device: DeviceName = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"
    workers: int = 1
    checkpoint_steps: int = 200
    log_steps: int = 10

    def __post_init__(self) -> None:
        require_field_types(self)
        check_workers(self.workers)
        if min(self.checkpoint_steps, self.log_steps) < 1:
            raise UserError("checkpoint_steps and log_steps are at least 1.")
        low, high = self.views.mpp
        if not 0.999 * low <= self.mpp <= 1.001 * high:
            raise UserError("mpp must lie in the range of views.mpp.")
        if self.seed < 0:
            raise UserError("The seed is at least 0.")
