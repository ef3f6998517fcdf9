"""Training samples and validation fields of the mode "full"."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from muse_core.data.points_folder import AnnotatedImage, class_names_in
from muse_core.errors import UserError
from muse_core.finetune.config import FinetuneConfig
from muse_core.finetune.data.crop_dataset import Source, SourceImage
from muse_core.finetune.data.digests import digest_of_attributes, digest_of_values
from muse_core.finetune.data.field_data import FieldData, load_fields, scheme_to_learn
from muse_core.finetune.data.fields import Field
from muse_core.finetune.data.slide_tissue import SlideTissue, tissue_of_stores
from muse_core.finetune.data.sources import (
    TrainingData,
    mapped_class_names,
    own_class_names,
    read_folders,
    read_validation,
    training_data,
)
from muse_core.finetune.data.unlabeled import read_unlabeled
from muse_core.finetune.holdout.evaluator import Holdout
from muse_core.finetune.inputs import LabelSet
from muse_core.models.card import BACKBONE, read_card
from muse_core.nuclei import ClassScheme


@dataclass(frozen=True, eq=False)
class FullData:
    """The data of a run.

    Attributes:
        training: What samples are drawn from.
        scheme: Classes of the model.
        fields: The reviewed fields; None where there is no store.
        holdout: Fields to score on; none where images are.
        val: Images to score on, where there is no store.
        slides: Unreviewed tissue of the stores' slides, used without annotations.
    """

    training: TrainingData
    scheme: ClassScheme
    fields: FieldData | None
    holdout: Holdout
    val: tuple[AnnotatedImage, ...]
    slides: tuple[SlideTissue, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user."""
        notes = self.fields.notes if self.fields else ()
        area = sum(s.mm2 for s in self.slides)
        if not area:
            return notes
        where = "on" if any(len(s.corners) for s in self.slides) else "around the fields of"
        return (*notes, f"{area:.2g} mm² that nobody has reviewed took part, {where} your slides.")

    def digest(self) -> str:
        """Hash of all images and nuclei that are trained or scored on, hexadecimal."""
        return digest_of_values(
            self.training.label_sets,
            [source.digest() for source in self.training.sources],
            self.fields and self.fields.digest(),
            [None if a is None else a.numpy() for a in self.training.allowed],
            [slide.digest() for slide in self.slides],
            [digest_of_attributes(image) for image in self.val],
        )

    def to_json(self) -> dict[str, object]:
        """For a model card: counts, areas and hashes, no private paths."""
        unlabelled = [
            {"slide_fingerprint": s.fingerprint, "mm2": round(s.mm2, 4), "places": len(s.corners)}
            for s in self.slides
        ]
        fields = self.fields.to_json() if self.fields else {}
        return self.training.to_json() | fields | {"unlabelled_tissue": unlabelled}


def load_full_data(config: FinetuneConfig, mpp: float) -> FullData:
    """Read all that a run needs.

    Args:
        config: The run.
        mpp: Microns per pixel of the model.

    Raises:
        UserError: Something cannot be read, or there is too little to learn from.
    """
    known = known_scheme(config)
    images = read_folders(config.train, mpp)
    own = own_class_names(config.train, images)
    fields = None
    if config.stores:
        alone = dataclasses.replace(config, train=())
        fields = load_fields(alone, known, mpp, config.views.crop_px, also_learnt=own)
        known = fields.scheme
    elif known is not None and not set(own) <= set(known.names):
        mapped = mapped_class_names(config.train)
        known = scheme_to_learn(None, sorted({*own, *mapped}), known)
    labelled = _of_fields(fields) if fields else []
    classes = known.names if known else config.classes or None
    training = training_data(config.train, images, classes, labelled)
    slides = _slide_tissue(fields, config, mpp)
    return FullData(
        training=_with_unlabeled(training, slides, config, mpp),
        scheme=known or ClassScheme.from_names(training.label_sets[0]),
        fields=fields,
        holdout=Holdout(fields.holdout if fields else ()),
        val=() if fields or not config.val else _val(config.val, training.label_sets[0]),
        slides=slides,
    )


def _val(folder: LabelSet, learnt: Sequence[str]) -> tuple[AnnotatedImage, ...]:
    images = read_validation(folder)
    unknown = [n for n in class_names_in(images) if n not in learnt]
    if unknown:
        raise UserError(
            f"{folder.folder}, to validate on, holds the class {unknown[0]!r}, which is not learnt"
            f" ({', '.join(learnt)})."
        )
    return images


def known_scheme(config: FinetuneConfig) -> ClassScheme | None:
    """Classes of the model to start from; None where there is no model or it is a backbone."""
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
        free=~field.known & ~field.holdout_mask,
    )


def _slide_tissue(
    fields: FieldData | None, config: FinetuneConfig, mpp: float
) -> tuple[SlideTissue, ...]:
    if fields is None or not config.consistency.weight:
        return ()
    settings = config.consistency
    whole = settings.own_slides and settings.unlabeled_share > 0
    return tissue_of_stores(fields.stores, mpp, config.views.crop_px, whole)


def _with_unlabeled(
    training: TrainingData, slides: Sequence[SlideTissue], config: FinetuneConfig, mpp: float
) -> TrainingData:
    """Add tissue without annotations; a slide of a store is drawn from as often as another."""
    settings = config.consistency
    side = 2 * config.views.crop_px
    own = frozenset(slide.fingerprint for slide in slides)
    images = read_unlabeled(config.unlabeled, mpp, side, settings.regions, config.seed, own)
    roomy = [slide for slide in slides if len(slide.corners)]
    if not (images or roomy) or not settings.unlabeled_share:
        return training
    labelled = sum(s.weight for s in training.sources)
    share = min(settings.unlabeled_share, 0.95)
    each = labelled * share / (1 - share) / (len(images) + settings.regions * len(roomy))
    extra: list[Source] = [
        *(dataclasses.replace(image, weight=each) for image in images),
        *(dataclasses.replace(slide, weight=settings.regions * each) for slide in roomy),
    ]
    return dataclasses.replace(training, sources=(*training.sources, *extra))
