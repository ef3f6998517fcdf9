"""Configuration of fine-tuning: data, schedule, views, losses. No torch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from muse_core.errors import UserError
from muse_core.field_types import require_field_types
from muse_core.finetune.inputs import LabelSet, StoreSource, UnlabeledSource, require_once
from muse_core.models.config import ModelConfig
from muse_core.models.device_names import DeviceName
from muse_core.strict import STRICT, StrictOptions
from muse_core.training.limits import MOST_RATE, check_workers

ADAPT: Literal["adapt"] = "adapt"
FULL: Literal["full"] = "full"
_MOST_PX = 4096
_MOST_WEIGHT = 1000.0


@dataclass(frozen=True)
class ViewConfig:
    """Settings for drawing and altering crops.

    Attributes:
        crop_px: Side of a crop in the model's pixels.
        zoom: Range of magnification, log-uniform; 1 keeps the model's MPP.
        rotate: Whether to rotate by any angle; flips always happen.
        stain_gain: Range of the factor on haematoxylin, eosin and the residual, log-uniform.
        stain_shift: Largest shift of each stain's optical density.
        stain_vector_noise: Deviation of the stain vectors themselves.
        blur_px: Range of the deviation of the Gaussian blur; applied to ``blur_share`` of crops.
        blur_share: Share of crops that get blurred, 0 to 1.
        sharpen: Range of the amount of unsharp masking, which imitates the sharpening of scanners:
            the factor on the difference between a crop and its Gaussian blur, which is added.
            Applied to ``sharpen_share`` of crops, after the blur.
        sharpen_px: Range of the deviation of that Gaussian. Its kernel is 9 px wide, so that above
            2 px it is close to a box filter of 9 px.
        sharpen_share: Share of crops that get sharpened, 0 to 1.
        noise: Largest deviation of pixel noise, on a scale of 0 to 1.
        brightness: Largest relative change of each of red, green and blue, and of all together.
        contrast: Largest relative change of the distance from the image's mean colour.
        jpeg_share: Share of crops that are compressed and decompressed, half of them with colour
            at half the resolution (4:2:0).
        jpeg_quality: Range of the quality, 1 to 100.
        coarse_share: Share of crops that are shrunk and enlarged again.
        coarse: Range of the factor by which they are shrunk.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    crop_px: int = 256
    zoom: tuple[float, float] = (0.75, 1.3)
    rotate: bool = True
    stain_gain: tuple[float, float] = (0.6, 1.5)
    stain_shift: float = 0.03
    stain_vector_noise: float = 0.05
    blur_px: tuple[float, float] = (0.4, 1.5)
    blur_share: float = 0.3
    sharpen: tuple[float, float] = (0.3, 2.0)
    sharpen_px: tuple[float, float] = (0.6, 1.4)
    sharpen_share: float = 0.0
    noise: float = 0.04
    brightness: float = 0.0
    contrast: float = 0.0
    jpeg_share: float = 0.0
    jpeg_quality: tuple[int, int] = (30, 95)
    coarse_share: float = 0.0
    coarse: tuple[float, float] = (1.1, 2.0)

    def __post_init__(self) -> None:
        require_field_types(self)
        if not 64 <= self.crop_px <= _MOST_PX or self.crop_px % 32:
            raise UserError(f"crop_px must be a multiple of 32, from 64 to {_MOST_PX}.")
        ranges = "zoom stain_gain blur_px sharpen sharpen_px jpeg_quality coarse"
        for name in ranges.split():
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise UserError(f"{name} must be a range of positive numbers.")
        if self.jpeg_quality[1] > 100 or self.coarse[0] < 1:
            raise UserError("jpeg_quality ends at 100, and coarse begins at 1.")
        shares = (self.blur_share, self.sharpen_share, self.jpeg_share, self.coarse_share)
        if not all(0 <= share <= 1 for share in shares):
            raise UserError("Shares of crops lie between 0 and 1.")
        if not (0 <= self.brightness < 1 and 0 <= self.contrast < 1):
            raise UserError("brightness and contrast lie between 0 and 1.")
        if min(self.stain_shift, self.stain_vector_noise, self.noise) < 0:
            raise UserError("stain_shift, stain_vector_noise and noise are at least 0.")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses and of the matching.

    Attributes:
        regression: Weight of L_reg, mean squared error of matched positions in strides.
        nucleus: Weight of nucleus against background.
        classes: Weight of the class cross-entropy.
        background: Weight of a background anchor against that of a nucleus.
        label_smoothing: Of the class cross-entropy, 0 to 1.
        class_jitter_px: Deviation of the points at which class features are sampled.
        match_px: How far an anchor may be from a nucleus to be matched with it.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    regression: float = 0.3
    nucleus: float = 1.0
    classes: float = 0.7
    background: float = 0.5
    label_smoothing: float = 0.1
    class_jitter_px: float = 1.0
    match_px: float = 8.0

    def __post_init__(self) -> None:
        require_field_types(self)
        weights = (self.regression, self.nucleus, self.classes, self.background)
        if min(*weights, self.class_jitter_px) < 0 or self.match_px <= 0:
            raise UserError(
                "Weights of losses and class_jitter_px are at least 0, and match_px is positive."
            )
        if not max(self.regression, self.nucleus, self.classes):
            raise UserError("One of regression, nucleus and classes is above 0.")
        if not 0 <= self.label_smoothing < 1:
            raise UserError("label_smoothing lies between 0 and 1.")


@dataclass(frozen=True)
class AdaptConfig:
    """Settings for training heads on a frozen backbone.

    Attributes:
        megapixels: Most pixels that go through the backbone, over all views; each field has at
            least one view.
        most_views: Most views of a field: the field itself, then turned, flipped, differently
            stained.
        places: Places at and around a nucleus where its features are read.
        place_jitter_px: Deviation of these places.
        margin_px: Context read around a field.
        views_per_step: Views whose anchors a step sees.
        nuclei_per_step: Nuclei whose classes a step sees.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    megapixels: float = 12.0
    most_views: int = 8
    places: int = 4
    place_jitter_px: float = 1.0
    margin_px: int = 64
    views_per_step: int = 4
    nuclei_per_step: int = 512

    def __post_init__(self) -> None:
        require_field_types(self)
        if min(self.most_views, self.places, self.views_per_step, self.nuclei_per_step) < 1:
            raise UserError("Views, places and nuclei of a step are at least 1.")
        if self.megapixels <= 0 or self.margin_px < 0:
            raise UserError("megapixels must be positive, and margin_px not negative.")


@dataclass(frozen=True)
class ConsistencyConfig:
    """Settings for training on tissue without annotations.

    Attributes:
        weight: Of L_cons; 0 leaves such tissue out.
        nucleus_confidence: Nucleus probability from which the teacher's proposal is a nucleus.
        background_confidence: Nucleus probability up to which it is background.
        class_confidence: Class probability from which the class counts, for the class that the
            teacher is surest of.
        class_floor: Lower limit of that threshold for the other classes.
        class_alignment: Largest factor by which the teacher's probability of a class is raised or
            lowered to make classes as frequent as they are annotated; 1 leaves them as they are.
        momentum: Of the mean confidence and frequency of each class; less in the first steps.
        burn_in_share: Share of the steps, at the start, without the teacher.
        ramp_share: Share of the steps over which the weight then rises.
        unlabeled_share: Share of samples drawn from tissue without any annotation, if there is any.
        regions: Regions of tissue read from each slide without annotations.
        own_slides: Whether tissue outside the fields of the stores' own slides is used too.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    weight: float = 0.0
    nucleus_confidence: float = 0.7
    background_confidence: float = 0.02
    class_confidence: float = 0.9
    class_floor: float = 0.5
    class_alignment: float = 3.0
    momentum: float = 0.99
    burn_in_share: float = 0.2
    ramp_share: float = 0.3
    unlabeled_share: float = 0.25
    regions: int = 8
    own_slides: bool = True

    def __post_init__(self) -> None:
        require_field_types(self)
        shares = (
            self.nucleus_confidence,
            self.background_confidence,
            self.class_confidence,
            self.class_floor,
            self.momentum,
            self.burn_in_share,
            self.ramp_share,
            self.unlabeled_share,
        )
        if not all(0 <= share <= 1 for share in shares):
            raise UserError("Confidences and shares of the consistency loss lie between 0 and 1.")
        if self.background_confidence >= self.nucleus_confidence:
            raise UserError("background_confidence must be below nucleus_confidence.")
        if not self.class_alignment >= 1:
            raise UserError("class_alignment is a factor of at least 1.")
        if self.weight < 0 or self.regions < 1:
            raise UserError("The weight of the consistency loss is not negative; regions >= 1.")


@dataclass(frozen=True)
class DistillationConfig:
    """Settings for learning from a larger model, beside the annotations, in the mode "full".

    Attributes:
        teacher: File of that model, or its name; None leaves it out. Its classes and its MPP are
            those of the model that learns.
        weight: Of L_distil, relative to the losses against annotations.
        min_score: The teacher's score from which it tells the class of a nucleus.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    teacher: Path | None = None
    weight: float = 1.0
    min_score: float = 0.5

    def __post_init__(self) -> None:
        require_field_types(self)
        if not 0 < self.weight <= _MOST_WEIGHT:
            raise UserError(
                f"The weight of the distillation is above 0 and at most {_MOST_WEIGHT:g}."
            )
        if not 0 <= self.min_score <= 1:
            raise UserError("min_score of the distillation lies between 0 and 1.")


@dataclass(frozen=True)
class FinetuneConfig:
    """Configuration of a training run.

    Attributes:
        out: Model file to write.
        train: Points-folders to learn from.
        val: Points-folder to choose the best weights and the score threshold on, or None.
        base: File of the model to start from, or its name as ``muse models list`` says it; None
            starts from random weights.
        name: Name in the model card; the file's stem when empty.
        description: A sentence or two for the card.
        model: Architecture, ignored when ``base`` is given.
        mpp: Microns per pixel the model works at; ignored when ``base`` is given.
        classes: Classes of a model that starts without any; empty takes those of the folders whose
            classes count and those that class maps name.
        steps: Number of optimiser steps.
        batch: Crops in a step.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: Of AdamW.
        ema_decay: Of the averaged weights, which are the ones kept.
        ema_reach: Longest window of the average, as a share of the steps so far; it matters early
            in a run.
        validate_every: Steps between validations ("epoch").
        seed: Of everything random.
        device: Where the network runs: auto, cpu, cuda or mps.
        workers: Processes that cut crops in the mode "full", so that a GPU waits less; 0 cuts them
            between steps. The model is the same.
        resume: Whether to go on from a checkpoint of the same run beside ``out``.
        resumable: Whether to keep such a checkpoint until the run is finished.
        views: Augmentation.
        losses: Losses.
        stores: Annotation stores to learn from. There must be one, or a points-folder whose classes
            count.
        mode: How much of the network is trained: all weights ("full"), or the heads on a frozen
            backbone ("adapt").
        class_map: Class of the base model to the class to learn that means the same.
        correction_weight: Weight of a nucleus that a person has changed, relative to one that was
            only looked at.
        adapt: Settings of the mode "adapt".
        unlabeled: Tissue without annotations, for the mode "full", beside the slides of the stores;
            those among it that are slides of stores are left out.
        backbone_rate: Learning rate of the backbone as a share of the heads'.
        consistency: How tissue without annotations takes part in the mode "full".
        distillation: The larger model that the mode "full" also learns from.
        shards: Parts of a batch that are computed in parallel in the mode "full", each in a thread
            of its own. On processors shared with other programs this is far faster than torch's
            threads, which wait for each other in every layer. 1 leaves it to torch.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    out: Path
    train: tuple[LabelSet, ...] = ()
    val: LabelSet | None = None
    base: Path | None = None
    name: str = ""
    description: str = ""
    model: ModelConfig = field(default_factory=ModelConfig)
    mpp: float = 0.5
    steps: int = 3000
    batch: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.999
    ema_reach: float = 1 / 9
    validate_every: int = 500
    seed: int = 0
    device: DeviceName = "auto"
    workers: int = 0
    resume: bool = True
    resumable: bool = True
    views: ViewConfig = field(default_factory=ViewConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    stores: tuple[StoreSource, ...] = ()
    mode: Literal["full", "adapt"] = "full"
    class_map: Mapping[str, str] = field(default_factory=dict)
    correction_weight: float = 2.0
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    unlabeled: tuple[UnlabeledSource, ...] = ()
    backbone_rate: float = 1.0
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    classes: tuple[str, ...] = ()
    shards: int = 1

    def __post_init__(self) -> None:
        require_field_types(self)
        self._check_mode()
        require_once([(s.folder, s.names, s.classes_count) for s in self.train])
        require_once([(s.store,) for s in self.stores])
        if not self.stores and not self.train:
            raise UserError("There is nothing to learn from; give --train or --annotations.")
        if not self.stores and not any(s.teaches_classes for s in self.train):
            raise UserError("Training needs at least one points-folder whose classes count.")
        if not 1 <= self.shards <= self.batch:
            raise UserError("shards lies between 1 and batch.")
        if self.shards > 1 and self.consistency.weight:
            raise UserError("The consistency loss needs its batches whole: shards 1.")
        if self.steps < 1 or self.batch < 1 or self.validate_every < 1:
            raise UserError("steps, batch and validate_every must be at least 1.")
        if self.steps * self.batch > sys.maxsize:
            raise UserError("steps times batch is more than can be counted.")
        check_workers(self.workers)
        if self.seed < 0:
            raise UserError("The seed is at least 0.")
        if not all(x > 0 for x in (self.mpp, self.learning_rate, self.correction_weight)):
            raise UserError("mpp, learning_rate and correction_weight must be positive.")
        if self.learning_rate > MOST_RATE:
            raise UserError(f"learning_rate is at most {MOST_RATE:g}.")
        if self.weight_decay < 0:
            raise UserError("weight_decay is at least 0.")
        if not 0 <= self.backbone_rate <= 1:
            raise UserError("backbone_rate lies between 0 and 1.")
        if not 0 < self.ema_decay < 1:
            raise UserError("ema_decay lies between 0 and 1.")
        if not 0 < self.ema_reach <= 1:
            raise UserError("ema_reach lies above 0 and is at most 1.")

    def _check_mode(self) -> None:
        if self.unlabeled and (self.mode == ADAPT or not self.consistency.weight):
            raise UserError(
                "Tissue without annotations takes part only in the mode full, with a weight of the"
                " consistency loss above 0."
            )
        if self.mode == FULL:
            return
        if self.distillation.teacher is not None:
            raise UserError("Learning from a teacher needs the mode full.")
        if self.base is None:
            raise UserError("To adapt heads, a model to start from is needed.")
        if any(s.class_map or not s.exhaustive for s in self.train):
            raise UserError("Folders with a class map or missing nuclei need the mode full.")
        if not all(s.classes_count for s in self.train):
            raise UserError("Folders for detection only need the mode full.")
