"""The network a run starts from: a model, a backbone with new heads, or random weights."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

from muse_core.finetune.config import FinetuneConfig
from muse_core.models.card import BACKBONE, ModelCard, read_card
from muse_core.models.checkpoint import load_backbone, load_model
from muse_core.models.config import BackboneConfig
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme

_DEFAULT_THRESHOLD = 0.5


def known_classes(config: FinetuneConfig) -> tuple[str, ...] | None:
    """Classes that the model to start from brings along; None where it brings none."""
    card = read_card(config.base) if config.base else None
    if card is None or card.kind == BACKBONE:
        return None
    return ClassScheme.from_json(card.classes).names


def starting_model(config: FinetuneConfig, classes: tuple[str, ...]) -> MuseModel:
    """Build or load the network.

    Args:
        config: The run.
        classes: Names for new heads; a model to start from keeps its own.

    Raises:
        UserError: The file to start from cannot be read.
    """
    if config.base is None:
        return MuseModel(new_card(config, classes))
    card = read_card(config.base)
    if card.kind != BACKBONE:
        return load_model(config.base)
    backbone, _ = load_backbone(config.base)
    architecture = dataclasses.replace(
        config.model, backbone=BackboneConfig.from_json(card.architecture["backbone"])
    )
    started = dataclasses.replace(config, model=architecture, mpp=card.mpp)
    model = MuseModel(new_card(started, classes))
    model.backbone.load_state_dict(backbone.state_dict())
    return model


def parent_name(config: FinetuneConfig) -> str | None:
    """Name of the model or backbone the run starts from."""
    return read_card(config.base).name if config.base else None


def new_card(config: FinetuneConfig, classes: tuple[str, ...]) -> ModelCard:
    """The card of a network of the run's settings, before anything is measured."""
    return ModelCard(
        name=config.name or config.out.stem,
        description=config.description,
        architecture=config.model.to_json(),
        mpp=config.mpp,
        fov_px=config.views.crop_px,
        classes=ClassScheme.from_names(classes).to_json(),
        score_threshold=_DEFAULT_THRESHOLD,
        created=datetime.now(UTC).date().isoformat(),
    )
