"""Running a model over batches of images, in what memory there is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from muse_core.detect.model import DetectionsLike, PointModel
from muse_core.errors import UserError
from muse_core.models.device import autocast_for
from muse_core.models.out_of_memory import free_cached_memory, is_out_of_memory

# Tiles of 1024 px; a batch only pays where one tile does not fill the device.
_BATCH = {"cuda": 8, "mps": 4, "cpu": 1}


class BatchRunner:
    """A model on a device; halves its batch when memory runs out, and stays there."""

    def __init__(self, model: PointModel, device: torch.device, batch: int | None) -> None:
        model.to(device=device, memory_format=torch.channels_last)
        model.eval()
        self.device = device
        self.batch = batch or _BATCH[device.type]
        self._model = model

    def run(
        self, images: Sequence[npt.NDArray[np.uint8]], min_score: float
    ) -> list[DetectionsLike]:
        """Nuclei of each image.

        Args:
            images: (H, W, 3) uint8 each, all of one size, sides multiples of 32.
            min_score: Nucleus probability from which a nucleus counts.

        Raises:
            UserError: Not even one image fits into memory.
        """
        found: list[DetectionsLike] = []
        while len(found) < len(images):
            part = images[len(found) : len(found) + self.batch]
            answer = self._try(part, min_score)
            if answer is not None:
                found.extend(answer)
                continue
            if len(part) == 1:
                height, width = part[0].shape[:2]
                raise UserError(
                    f"There is not enough memory on {self.device.type} for a tile of"
                    f" {width} x {height} px; choose the device cpu or close other programs."
                )
            self.batch = len(part) // 2
            free_cached_memory(self.device)
        return found

    def _try(
        self, images: Sequence[npt.NDArray[np.uint8]], min_score: float
    ) -> Sequence[DetectionsLike] | None:
        """Nuclei of each image, or None when memory ran out (its error is let go of here)."""
        try:
            with torch.inference_mode(), autocast_for(self.device):
                return self._model.predict(self._upload(images), min_score)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _upload(self, images: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """(B, 3, H, W) float32 in 0..1, channels last; bytes travel, floats are made there."""
        stacked = torch.from_numpy(np.stack(images))
        if self.device.type == "cuda":
            stacked = stacked.pin_memory()
        there = stacked.to(self.device, non_blocking=True)
        # NHWC bytes seen as NCHW are channels-last already.
        return there.permute(0, 3, 1, 2).float().div_(255)
