"""The teacher's backbone as a model file that fine-tuning starts from."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import torch

from muse_core.models.backbone import MuseBackbone
from muse_core.models.card import BACKBONE, ModelCard, read_card
from muse_core.models.checkpoint import load_backbone, save_backbone
from muse_core.models.config import BackboneConfig
from muse_core.pretrain.config import PretrainConfig
from muse_core.pretrain.roi_manifest import read_manifest

BACKBONE_NAME = "backbone.safetensors"


def starting_backbone(config: PretrainConfig) -> tuple[MuseBackbone, BackboneConfig]:
    """The network a run starts from, and its architecture.

    Raises:
        UserError: The file to start from cannot be read.
    """
    if config.base is None:
        return MuseBackbone(config.model), config.model
    backbone, card = load_backbone(config.base)
    return backbone.train(), BackboneConfig.from_json(card.architecture["backbone"])


def export_backbone(
    backbone: MuseBackbone, architecture: BackboneConfig, config: PretrainConfig, step: int
) -> None:
    """Write the backbone into the folder of the run; an older one is replaced.

    Args:
        backbone: The teacher's.
        architecture: Its architecture.
        config: The run.
        step: Optimiser steps made.
    """
    card = ModelCard(
        name=config.name or config.out.resolve().name,
        description="Pretrained without labels; computes features of nuclei.",
        architecture={"backbone": architecture.to_json()},
        mpp=config.mpp,
        fov_px=config.views.global_px,
        classes=[],
        score_threshold=0.5,
        training=_describe(config, step),
        parent=read_card(config.base).name if config.base else None,
        created=datetime.now(UTC).date().isoformat(),
        kind=BACKBONE,
    )
    save_backbone(backbone, card, config.out / BACKBONE_NAME, half=False)


def _describe(config: PretrainConfig, step: int) -> dict[str, object]:
    """Settings and data, without paths or names of slides."""
    manifest = read_manifest(config.rois)
    rois = manifest.rois
    return {
        "data": {
            "slides": len(manifest.sources),
            "rois": len(rois),
            "nuclei": sum(roi.n_nuclei for roi in rois),
            "area_mm2": round(sum(roi.area_um2 for roi in rois) / 1e6, 4),
            "nuclei_from": manifest.settings.nuclei,
        },
        "steps": step,
        "views": dataclasses.asdict(config.views),
        "appearance": dataclasses.asdict(config.appearance),
        "losses": dataclasses.asdict(config.losses),
        "schedule": dataclasses.asdict(config.schedule),
        "seed": config.seed,
        "device": config.device,
        "precision": config.precision,
        "torch": torch.__version__,
    }
