"""What a run in the mode "full" draws its samples from, and what it is scored on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from muse_core.evaluate.points_folder import AnnotatedImage, read_points_folder
from muse_core.finetune.config import FinetuneConfig
from muse_core.finetune.field_data import FieldData, load_fields
from muse_core.finetune.fields import Field
from muse_core.finetune.judging import Judging
from muse_core.finetune.samples import SourceImage
from muse_core.finetune.sources import TrainingData, load_training_data
from muse_core.finetune.unlabeled import read_unlabeled
from muse_core.models.card import BACKBONE, read_card
from muse_core.nuclei import ClassScheme


@dataclass(frozen=True, eq=False)
class FullData:
    """The data of a run.

    Attributes:
        training: What samples are drawn from.
        scheme: Classes of the model.
        fields: The reviewed fields; None where there is no store.
        held: Fields to score on; none where images are.
        val: Images to score on, where there is no store.
    """

    training: TrainingData
    scheme: ClassScheme
    fields: FieldData | None
    held: Judging
    val: tuple[AnnotatedImage, ...]


def load_full_data(config: FinetuneConfig, mpp: float) -> FullData:
    """Read all that a run needs.

    Args:
        config: The run.
        mpp: Microns per pixel of the model.

    Raises:
        UserError: Something cannot be read, or there is too little to learn from.
    """
    known = known_scheme(config)
    fields = None
    if config.stores:
        alone = dataclasses.replace(config, train=())
        fields = load_fields(alone, known, mpp, margin_px=config.views.crop_px)
        known = fields.scheme
    labelled = _of_fields(fields) if fields else []
    training = load_training_data(config.train, known.names if known else None, labelled)
    return FullData(
        training=_with_unlabeled(training, config, mpp),
        scheme=known or ClassScheme.from_names(training.label_sets[0]),
        fields=fields,
        held=Judging(fields.held_back if fields else ()),
        val=()
        if fields or not config.val
        else read_points_folder(config.val.folder, config.val.mpp, config.val.names),
    )


def known_scheme(config: FinetuneConfig) -> ClassScheme | None:
    """Classes that the model to start from brings along; None where it brings none."""
    card = read_card(config.base) if config.base else None
    if card is None or card.kind == BACKBONE:
        return None
    return ClassScheme.from_json(card.classes)


def _of_fields(data: FieldData) -> list[SourceImage]:
    """Fields as sources; larger ones are drawn from more often."""
    areas = np.array([max(1, int(f.known.sum())) for f in data.train], dtype=np.float64)
    shares = areas / areas.sum()
    return [
        _source(field, data.scheme.names, float(share))
        for field, share in zip(data.train, shares, strict=True)
    ]


def _source(field: Field, names: Sequence[str], weight: float) -> SourceImage:
    return SourceImage(
        image=field.image,
        xy=field.xy,
        classes=np.array([names.index(n) for n in field.class_names], dtype=np.int64),
        label_set=0,
        mpp=field.mpp,
        weight=weight,
        nucleus_weights=field.weights,
        known=field.known,
        free=~field.known & ~field.withheld,
    )


def _with_unlabeled(training: TrainingData, config: FinetuneConfig, mpp: float) -> TrainingData:
    settings = config.consistency
    side = 2 * config.views.crop_px
    images = read_unlabeled(config.unlabeled, mpp, side, settings.regions, config.seed)
    if not images or not settings.unlabeled_share:
        return training
    labelled = sum(s.weight for s in training.sources)
    share = min(settings.unlabeled_share, 0.95)
    each = labelled * share / (1 - share) / len(images)
    extra = [dataclasses.replace(image, weight=each) for image in images]
    return dataclasses.replace(training, sources=(*training.sources, *extra))
