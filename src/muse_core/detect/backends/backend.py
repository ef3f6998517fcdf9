"""InferenceBackend: the interface behind which a network turns uint8 tiles into nuclei."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from muse_core.array_types import RgbArray
from muse_core.detect.backends.tile_size import TILE_PX
from muse_core.detect.model import CardLike
from muse_core.errors import UserError
from muse_core.memory import require_batch_memory
from muse_core.models.tile_detections import TileDetections


@dataclass(frozen=True)
class Wanted:
    """Which nuclei of an image a backend returns, and with what.

    Attributes:
        min_score: Lowest nucleus probability.
        features: Whether to return the features of nuclei too.
        margin_px: Nuclei nearer than this to a border of the image are left out; 0 leaves out none.
    """

    min_score: float
    features: bool = False
    margin_px: float = 0.0


class NotConvertibleError(UserError):
    """OpenVINO cannot compute a model, or not as torch does."""


class NotConvertedNowError(NotConvertibleError):
    """OpenVINO cannot compute a model under the limits of this process; elsewhere it may."""


class InferenceBackend(ABC):
    """A model loaded on a device; halves its batch for good when memory runs out.

    Attributes:
        card: What the model is.
        name: torch or openvino.
        device: cuda, mps or cpu.
        precision: What it computes in: float32, bfloat16, float16 or int8.
        batch: Tiles in one pass through the network.
        tile_px: Largest side of a tile that it computes in bounded memory.
        streams: Number of threads that may usefully call :meth:`run` at the same time.
        prepares_sizes: Whether each new size of an image takes time to prepare for.
        notes: Sentences for the user, such as why a slower backend was chosen or that memory ran
            out.
    """

    name: str

    def __init__(
        self, card: CardLike, device: str, precision: str, batch: int, tile_px: int = TILE_PX
    ) -> None:
        self.card = card
        self.device = device
        self.precision = precision
        self.batch = batch
        self.tile_px = tile_px
        self.streams = 1
        self.prepares_sizes = False
        self.notes: list[str] = []

    def run(self, images: Sequence[RgbArray], wanted: Wanted) -> list[TileDetections]:
        """Nuclei of each image.

        Args:
            images: (H, W, 3) uint8 each, all of one size, sides multiples of 32.
            wanted: Which nuclei to return.

        Raises:
            UserError: Not even one image fits into memory.
        """
        found: list[TileDetections] = []
        while len(found) < len(images):
            part = images[len(found) : len(found) + self.batch]
            answer = self.try_run(part, wanted)
            if answer is not None:
                found.extend(answer)
                continue
            if len(part) == 1:
                height, width = part[0].shape[:2]
                way_out = "" if self.device == "cpu" else "choose the device cpu or "
                raise UserError(
                    f"There is not enough memory on {self.device} for a tile of"
                    f" {width} x {height} px; {way_out}close other programs."
                )
            self.batch = len(part) // 2
            self.notes.append(
                f"Memory on {self.device} ran out with {len(part)} tiles in one pass;"
                f" went on with {self.batch}."
            )
        return found

    def check_batch(self, sizes: Collection[tuple[int, int]]) -> None:
        """Refuse a batch that cannot fit into memory; raises UserError.

        Args:
            sizes: Height and width of each tile to be computed.
        """
        largest = max((height * width for height, width in sizes), default=0)
        require_batch_memory("tiles", min(self.batch, len(sizes)), largest, self.device)

    @abstractmethod
    def try_run(
        self, images: Sequence[RgbArray], wanted: Wanted
    ) -> Sequence[TileDetections] | None:
        """Nuclei of each image of one batch, or None when memory ran out."""


def as_batch(images: Sequence[RgbArray]) -> RgbArray:
    """(B, H, W, 3) uint8; one image is not copied."""
    return images[0][None] if len(images) == 1 else np.stack(images)
