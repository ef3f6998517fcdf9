"""Detection in fields with changing heads, on dense features that are computed once."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch

from muse_core.finetune.data.fields import Field
from muse_core.finetune.heads_only.frozen import padded
from muse_core.finetune.holdout.threshold import LOWEST_SCORE
from muse_core.models.device import autocast_for
from muse_core.models.muse_model import MuseModel
from muse_core.models.point_features import image_batch
from muse_core.nuclei import ClassScheme, nucleus_table


class FrozenDetector:
    """Holds the dense features of fields and runs the heads of a model on them."""

    def __init__(self, model: MuseModel, fields: Sequence[Field]) -> None:
        """Compute the features.

        Args:
            model: Any model with the backbone in question, on its device.
            fields: At its resolution.
        """
        self._fields = tuple(fields)
        self._maps = []
        device = next(model.parameters()).device
        for field in fields:
            image = image_batch([padded(field)[0]], device)
            with torch.inference_mode(), autocast_for(device):
                f_map, _ = model.backbone(image.to(memory_format=torch.channels_last))
            self._maps.append(f_map.cpu())

    @torch.inference_mode()
    def detect(self, model: MuseModel) -> list[pd.DataFrame]:
        """NucleusTable of each field at ``LOWEST_SCORE``, pixels of the field."""
        names = ClassScheme.from_json(model.card.classes).names
        device = next(model.parameters()).device
        tables = []
        for field, stored in zip(self._fields, self._maps, strict=True):
            f_map = stored.to(device)
            stride = model.backbone.map_stride_px
            size = (f_map.shape[-2] * stride, f_map.shape[-1] * stride)
            with autocast_for(device):
                proposals = model.point_head(f_map)
                (found,) = model.detections(f_map, proposals, size, LOWEST_SCORE)
            best = [names[i] for i in found.class_probs.argmax(axis=1)]
            x, y = found.xy.T
            table = nucleus_table(x, y, best, found.score, model="frozen")
            # The network sees the mirrored tissue beside the field too.
            height, width = field.image.shape[:2]
            inside = table["x"].between(0, width, "left") & table["y"].between(0, height, "left")
            tables.append(table[inside].reset_index(drop=True))
        return tables
