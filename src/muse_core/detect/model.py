"""Protocol of models that detection can run; `muse_core.models.muse_model.MuseModel` is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from muse_core.models.tile_detections import TileDetections

if TYPE_CHECKING:
    from torch import Tensor


class CardLike(Protocol):
    """The part of a model card that detection uses."""

    @property
    def name(self) -> str:
        """Written to every nucleus."""
        ...

    @property
    def mpp(self) -> float:
        """Microns per pixel of the images the model expects."""
        ...

    @property
    def score_threshold(self) -> float:
        """Nucleus probability from which a nucleus counts."""
        ...

    @property
    def classes(self) -> Sequence[Mapping[str, str]]:
        """A ClassScheme as JSON."""
        ...


class PointModel(Protocol):
    """A torch module that finds nuclei in a batch of images."""

    @property
    def card(self) -> CardLike:
        """Card of the model."""
        ...

    def predict(
        self, image: Tensor, min_score: float | None = None, features: bool = False
    ) -> Sequence[TileDetections]:
        """Nuclei of each image of (B, 3, H, W) float in 0..1, sides multiples of 32."""
        ...

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move to a device, as torch.nn.Module does."""
        ...

    def eval(self) -> Any:
        """Switch to inference, as torch.nn.Module does."""
        ...
