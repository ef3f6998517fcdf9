"""A checkpoint in the layout of the released ones, with random weights."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch
from torch import Tensor

from muse_core.models.backbone import MuseBackbone
from muse_core.models.released import RELEASED

_BACK = (
    (r"encoder\.network\.", "encoder.encoder."),
    (r"encoder\.reassembly\.", "decoder.dim_map_layers."),
    (r"decoder\.fusion\.0\.", "decoder.decoder3."),
    (r"decoder\.fusion\.1\.", "decoder.decoder2."),
    (r"decoder\.fusion\.2\.", "decoder.decoder1."),
    (r"(decoder\d)\.reduce\.", r"\1.first_block.layer."),
    (r"(decoder\d)\.refine\.(conv\d)\.", r"\1.last_block.\2.layer."),
    (r"decoder\.hyper\.(\d)\.", r"decoder.hyper_feats.conv_list.\1.layer."),
)


def random_backbone(stem: str) -> MuseBackbone:
    torch.manual_seed(0)
    released = next(r for r in RELEASED if r.stem == stem)
    return MuseBackbone(released.backbone(released.fov_px)).eval()


def teacher_of(backbone: MuseBackbone) -> dict[str, Tensor]:
    teacher = {}
    for name, value in backbone.state_dict().items():
        key = name
        for pattern, replacement in _BACK:
            key = re.sub(
                f"^{pattern}" if "decoder\\d" not in pattern else pattern, replacement, key
            )
        teacher[f"module.backbone.{key}"] = value
    # Projection heads are stored beside the backbone and not used here.
    return {**teacher, "module.head.mlp.0.weight": torch.zeros(3, 3)}


def write_checkpoint(path: Path, teacher: dict[str, Tensor]) -> Path:
    torch.save({"teacher": teacher, "epoch": 3, "args": argparse.Namespace(lr=1e-4)}, path)
    return path
