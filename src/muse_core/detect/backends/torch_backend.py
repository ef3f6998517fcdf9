"""The torch backend: any model, any device. Importing this module loads torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from muse_core.array_types import RgbArray
from muse_core.detect.backends.backend import InferenceBackend, Wanted, as_batch
from muse_core.detect.backends.names import AUTO, TORCH
from muse_core.detect.backends.tile_size import TILE_PX
from muse_core.detect.model import PointModel
from muse_core.models.device import autocast_for, computes_in_bfloat16
from muse_core.models.folding import with_folded_norms
from muse_core.models.muse_model import MuseModel
from muse_core.models.out_of_memory import free_cached_memory, is_out_of_memory
from muse_core.models.tile_detections import TileDetections, within_margin

# A batch only pays where one tile does not fill the device. On processors torch takes about twice
# the memory of OpenVINO, so that tiles stay small.
_BATCH = {"cuda": 2, "mps": 4, "cpu": 1}
_TILE_PX = {"cuda": 2048, "mps": TILE_PX, "cpu": TILE_PX}


class TorchBackend(InferenceBackend):
    """A torch module, channels last and in half precision where the device has it."""

    name = TORCH

    def __init__(
        self,
        model: PointModel,
        device: torch.device,
        batch: int | None = None,
        precision: str = AUTO,
    ) -> None:
        model.to(device=device, memory_format=torch.channels_last)
        model.eval()
        if device.type == "cpu" and isinstance(model, MuseModel):
            model = with_folded_norms(model)
        super().__init__(
            model.card,
            device.type,
            _precision(device) if precision == AUTO else precision,
            batch or _BATCH[device.type],
            _TILE_PX[device.type],
        )
        self._device = device
        self._model = model

    def try_run(
        self, images: Sequence[RgbArray], wanted: Wanted
    ) -> Sequence[TileDetections] | None:
        """See :meth:`InferenceBackend.try_run`."""
        extra = {"features": True} if wanted.features else {}
        try:
            with torch.inference_mode(), self._autocast():
                found = self._model.predict(self._upload(images), wanted.min_score, **extra)
            size_px = images[0].shape[:2]
            return [o.take(within_margin(o.xy, size_px, wanted.margin_px)) for o in found]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Not within the handler: the error's traceback still holds the tensors there.
        free_cached_memory(self._device)
        return None

    def _autocast(self) -> torch.autocast:
        if self.precision == "float32":
            return torch.autocast(self._device.type, enabled=False)
        return autocast_for(self._device)

    def _upload(self, images: Sequence[RgbArray]) -> Tensor:
        """(B, 3, H, W) float32 in 0..1, channels last; sent as uint8, converted on the device."""
        # torch warns of arrays that must not be written to, such as those of files in memory.
        bytes_here = torch.from_numpy(np.require(as_batch(images), requirements="W"))
        if self.device == "cuda":
            bytes_here = bytes_here.pin_memory()
        there = bytes_here.to(self._device, non_blocking=True)
        # NHWC bytes seen as NCHW are channels-last already.
        return there.permute(0, 3, 1, 2).float().div_(255)


def _precision(device: torch.device) -> str:
    if computes_in_bfloat16(device):
        return "bfloat16"
    return "float16" if device.type == "cuda" else "float32"
