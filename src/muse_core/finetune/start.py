"""The network a run starts from: a model, a backbone with new heads, or random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import torch

from muse_core.errors import UserError
from muse_core.finetune.config import FinetuneConfig
from muse_core.finetune.inputs import LabelSet
from muse_core.models.card import BACKBONE, ModelCard, read_card
from muse_core.models.checkpoint import load_backbone, load_model
from muse_core.models.config import BackboneConfig
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme

_DEFAULT_THRESHOLD = 0.5
# Scale of the initial output weights of a new class: small, so that known classes win at first.
_FAINT = 0.1


def starting_model(config: FinetuneConfig, scheme: ClassScheme) -> MuseModel:
    """Build or load the network.

    Args:
        config: The run.
        scheme: The classes; a model to start from that knows others gets a new class head.

    Raises:
        UserError: The file to start from cannot be read.
    """
    card = None if config.base is None else read_card(config.base)
    known = () if card is None or card.kind == BACKBONE else _classes_of(card)
    check_same_classes(known, scheme.names, dict(config.class_map))
    if config.base is None or card is None:
        return MuseModel(new_card(config, scheme))
    if card.kind != BACKBONE:
        base = load_model(config.base)
        if known == scheme.names:
            return base
        return with_classes(base, scheme, config.class_map)
    backbone, _ = load_backbone(config.base)
    architecture = dataclasses.replace(
        config.model, backbone=BackboneConfig.from_json(card.architecture["backbone"])
    )
    started = dataclasses.replace(config, model=architecture, mpp=card.mpp)
    model = MuseModel(new_card(started, scheme))
    model.backbone.load_state_dict(backbone.state_dict())
    return model


def with_classes(base: MuseModel, scheme: ClassScheme, class_map: Mapping[str, str]) -> MuseModel:
    """A copy of a model that tells other classes apart.

    Classes that it knows already, by name or by ``class_map``, start from what it knows of them.

    Args:
        base: The model.
        scheme: The new classes.
        class_map: Class of the base to new class, where one means the same as the other.

    Raises:
        UserError: The map names a class that the base does not have or that is not learnt.
    """
    old_names = _classes_of(base.card)
    check_same_classes(old_names, scheme.names, class_map)
    model = MuseModel(dataclasses.replace(base.card, classes=scheme.to_json()))
    model.backbone.load_state_dict(base.backbone.state_dict())
    model.point_head.load_state_dict(base.point_head.state_dict())
    model.class_head.hidden.load_state_dict(base.class_head.hidden.state_dict())
    old, new = base.class_head.out, model.class_head.out
    with torch.no_grad():
        new.weight.mul_(_FAINT)
        new.bias.fill_(float(old.bias.mean()))
        for row, name in enumerate(scheme.names):
            known = [i for i, n in enumerate(old_names) if class_map.get(n, n) == name]
            if known:
                new.weight[row] = old.weight[known].mean(dim=0)
                new.bias[row] = old.bias[known].mean()
    return model.eval()


def check_same_classes(
    known: Sequence[str], learnt: Sequence[str], class_map: Mapping[str, str]
) -> None:
    """Raise UserError where a map from known to learnt classes names one that is neither."""
    for old, new in class_map.items():
        if old not in known:
            has = f"it has {', '.join(known)}" if known else "it knows none"
            raise UserError(
                f"The model to start from has no class {old!r} that could mean the same as {new!r};"
                f" {has}."
            )
        if new not in learnt:
            raise UserError(
                f"There is no class {new!r} to learn that could mean the same as {old!r} of the"
                f" model; there are {', '.join(learnt)}."
            )


def _classes_of(card: ModelCard) -> tuple[str, ...]:
    return ClassScheme.from_json(card.classes).names


def run_notes(config: FinetuneConfig, scheme: ClassScheme) -> tuple[str, ...]:
    """Return sentences on what may be wrong with a run, though it can be made.

    Args:
        config: The run.
        scheme: The classes it learns.
    """
    return (*_validation_notes(config), *_class_notes(config, scheme))


def _validation_notes(config: FinetuneConfig) -> tuple[str, ...]:
    """A sentence where images are both trained and validated on."""
    val = config.val
    if val is None or not any(_overlap(val, folder) for folder in config.train):
        return ()
    return (
        f"{val.folder} is trained on as well as validated on, so that its figures say nothing of"
        " other tissue.",
    )


def _overlap(one: LabelSet, other: LabelSet) -> bool:
    if not one.folder.samefile(other.folder):
        return False
    return one.names is None or other.names is None or not set(one.names).isdisjoint(other.names)


def _class_notes(config: FinetuneConfig, scheme: ClassScheme) -> tuple[str, ...]:
    """What becomes of the classes of the model to start from, if that is new."""
    card = read_card(config.base) if config.base else None
    if card is None or card.kind == BACKBONE:
        return ()
    old = ClassScheme.from_json(card.classes).names
    class_map = config.class_map
    if old == scheme.names:
        return tuple(
            f"The model keeps its classes; {a!r} is not taken for {b!r}."
            for a, b in class_map.items()
            if a != b
        )
    kept = {class_map.get(name, name) for name in old}
    notes = []
    if new := [name for name in scheme.names if name not in kept]:
        notes.append(f"New to the model: {', '.join(map(repr, new))}.")
    if gone := [name for name in old if class_map.get(name, name) not in scheme.names]:
        notes.append(f"No longer told apart by the model: {', '.join(map(repr, gone))}.")
    return tuple(notes)


def parent_name(config: FinetuneConfig) -> str | None:
    """Name of the model or backbone the run starts from."""
    return read_card(config.base).name if config.base else None


def new_card(config: FinetuneConfig, scheme: ClassScheme) -> ModelCard:
    """The card of a network of the run's settings, before anything is measured.

    Weights that come from others, or learn from others' answers, are under their licence.
    """
    card = ModelCard(
        name=config.name or config.out.stem,
        description=config.description,
        architecture=config.model.to_json(),
        mpp=config.mpp,
        fov_px=config.views.crop_px,
        classes=scheme.to_json(),
        score_threshold=_DEFAULT_THRESHOLD,
        created=datetime.now(UTC).date().isoformat(),
    )
    for source in (config.distillation.teacher, config.base):
        if source is not None:
            return dataclasses.replace(card, licence=read_card(source).licence)
    return card
